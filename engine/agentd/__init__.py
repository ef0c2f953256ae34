"""The resident agent: DNS, port proxy, cluster and repair services on one event loop.

In this package, the function ``heal`` returns whether daemon.json lets the agent repair.
"""
