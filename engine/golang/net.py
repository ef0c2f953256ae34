"""Format network addresses as Go's package net does."""

from __future__ import annotations


def join_host_port(host: str, port: int | str) -> str:
    """Join a host and a port, with brackets around an IPv6 address: ``192.0.2.1:80``, ``[2001:db8::1]:80``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
