"""The agent's event loop, and helpers for the agent's services.

The helpers make sockets in other network namespaces, limit the connections and queries of each client (quotas), and
watch files.
"""
