"""The engine: Docker's rules for networks, endpoints, sandboxes and containers, without any knowledge of terminals."""
