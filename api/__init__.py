"""The interfaces through which other programs use hawse. There is one: the Docker Engine API."""
