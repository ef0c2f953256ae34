"""Interfaces of hawse for other programs, beside the command line: the Docker Engine API."""
