"""The agent's cluster service and its threads: lease renewal, watch of the store, peer tables."""
