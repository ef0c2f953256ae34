"""The engine: Docker's rules for networks, endpoints, sandboxes and containers. It does not know the command line."""

PACKAGES = __file__.rsplit("/", 2)[0]
"""The directory of hawse's packages. A new process gets it as the first directory of the import path."""
