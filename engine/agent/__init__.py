"""The resident agent of a host: what must be alive between commands."""
