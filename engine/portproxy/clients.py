"""The clients of the port proxy: the quotas that they share, and their UDP flows.

One client is an address that asks for one port. Because an IPv6 host has as many addresses as it likes, those of one
/64 share a quota too. Because many hosts may act together, so do all clients of one container. Each group may have
twice the share of the one below it, so that no member can use up all of the group's.

A new UDP flow is always admitted. If its client, or a group that the client belongs to, holds too many flows, one of
theirs gives way; if all places are taken by others, one of theirs. Flows that were used lately stay (CLOCK).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address

from engine.eventloop.quota import Claim, Quota
from engine.ports.proxied import Origin, Target

PREFIX = 8  # bytes: an IPv6 /64


@lru_cache(maxsize=1024)
def claims(address: str, origin: Origin, target: Target) -> tuple[Claim, ...]:
    """Return the quota holders of a connection or flow, the smallest group first."""
    return (
        Claim((address, origin)),
        Claim(address, 2),
        Claim(IPv6Address(address).packed[:PREFIX], 4),
        Claim(("to", target[0]), 8),
    )


Key = tuple[object, bytes]
"""A client's address and port, and the host address that it sent to."""


class ProxyFlow:
    """A UDP flow of the port proxy: one client of a port, and the socket to the port's target."""

    __slots__ = ("claims", "key", "last", "origin", "socket", "target")

    def __init__(
        self, key: Key, origin: Origin, target: Target, claims: tuple[Claim, ...], sock: socket.socket
    ) -> None:
        self.key, self.origin, self.target, self.claims, self.socket = key, origin, target, claims, sock
        self.last = time.monotonic()


class Flows:
    """The flows of one listener; ``ended`` is called with each removed flow."""

    def __init__(self, quota: Quota, ended: Callable[[ProxyFlow], None]) -> None:
        self._quota, self._ended = quota, ended
        self._known: dict[Key, ProxyFlow] = {}
        self._groups: dict[Hashable, dict[ProxyFlow, float]] = {}
        """Flows by quota holder, in CLOCK order, each with the ``last`` time at which it took its place in that order.
        """

    def get(self, key: Key) -> ProxyFlow | None:
        """Return the flow of a client, or None if there is none."""
        return self._known.get(key)

    def __iter__(self) -> Iterator[ProxyFlow]:
        return iter(list(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def add(self, flow: ProxyFlow) -> None:
        """Add a flow, removing others until there is room."""
        while over := self._quota.over(flow.claims):
            self.remove(self._least_used(next((holder for holder in over if holder in self._groups), None)))
        self._quota.take(flow.claims)
        self._known[flow.key] = flow
        for holder in _holders(flow):
            self._groups.setdefault(holder, {})[flow] = flow.last

    def _least_used(self, holder: Hashable) -> ProxyFlow:
        """Return the first flow not used since it took its place in the order; used flows move to the end."""
        group = self._groups[holder]
        while True:
            flow, since = next(iter(group.items()))
            if flow.last <= since:
                return flow
            del group[flow]
            group[flow] = flow.last

    def remove(self, flow: ProxyFlow) -> None:
        """Remove a flow and close its socket."""
        del self._known[flow.key]
        self._quota.give(flow.claims)
        for holder in _holders(flow):
            group = self._groups[holder]
            del group[flow]
            if not group:
                del self._groups[holder]
        self._ended(flow)
        flow.socket.close()


def _holders(flow: ProxyFlow) -> list[Hashable]:
    """Return the quota holders of a flow; None is the group of all flows."""
    return [None, *(claim.holder for claim in flow.claims)]
