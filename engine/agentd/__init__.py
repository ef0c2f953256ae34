"""The resident agent: DNS, port proxy, cluster and repair services on one event loop."""
