"""The interface for other programs: the Docker Engine API."""
