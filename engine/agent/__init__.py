"""The commands' side of the resident agent: start it, notify it, and the interface of its services."""
