"""Publishing of container ports: requests, choice of host ports, probing of the host, and proxied ports."""
