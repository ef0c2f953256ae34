"""The agent's event loop, and the sockets, quotas and file watches that use it."""
