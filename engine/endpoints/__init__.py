"""Endpoints: reserve their addresses, connect them to sandboxes, link containers, and release endpoints."""
