"""Tells the clients of the port proxy apart, for the quotas that they share. Pure.

One client is an address that asks for one port. Because an IPv6 host has as many addresses as it likes, those of one
/64 share a quota too. Because many hosts may act together, so do all clients of one container. Each group may have
twice the share of the one below it, so that no member can use up all of the group's.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address

from engine.eventloop.quota import Claim
from engine.ports.proxied import Origin, Target

PREFIX = 8  # bytes


@lru_cache(maxsize=1024)
def claims(address: str, origin: Origin, target: Target) -> tuple[Claim, ...]:
    """Return whose shares a connection or a flow counts in, the narrowest first."""
    return (
        Claim((address, origin)),
        Claim(address, 2),
        Claim(IPv6Address(address).packed[:PREFIX], 4),
        Claim(("to", target[0]), 8),
    )
