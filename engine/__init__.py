"""The engine: Docker's rules for networks, endpoints, sandboxes and containers. It does not know the command line."""
