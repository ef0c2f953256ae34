"""The agent's event loop, and the sockets, quotas and file watches that are used with the loop."""
