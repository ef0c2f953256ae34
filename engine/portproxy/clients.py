"""The clients of the port proxy: the limits on their connections and flows, and the table of their UDP flows.

A client is a source address together with the published port that it uses. Clients form groups. Each client and each
group may have a limited number of connections and flows (`engine.eventloop.quota`). The groups are:

- all clients with the same address,
- all clients of one IPv6 /64, because a host can use all addresses of its /64,
- all clients of one container, because many hosts may act together.

The limit of each group is twice the limit of the next smaller group. Therefore one member cannot use up the limit of
its group.

A new UDP flow is always admitted. If its client or a group has reached the limit, an old flow of that client or group
is removed. Only flows of the same listener can be removed. If the client or group has no flow on this listener, an old
flow of another client is removed. Flows that were not used recently are removed first (CLOCK algorithm).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address

from engine.eventloop.quota import Claim, Quota
from engine.ports.proxied import Origin, Target

PREFIX = 8  # length in bytes of an IPv6 /64


@lru_cache(maxsize=1024)
def claims(address: str, origin: Origin, target: Target) -> tuple[Claim, ...]:
    """Return the limits that apply to a connection or flow: the limits of its client and of the client's groups.

    ``address`` is the client's address, ``origin`` the published port, and ``target`` the container's address and port.
    The limit of the smallest group comes first.
    """
    return (
        Claim((address, origin)),
        Claim(address, 2),
        Claim(IPv6Address(address).packed[:PREFIX], 4),
        Claim(("to", target[0]), 8),
    )


Key = tuple[object, bytes]
"""The key of a flow: the client's address and port, and the host address to which the client sent, as 16 bytes."""


class ProxyFlow:
    """A UDP flow of the port proxy: one client of a published port, and the socket to the port's target."""

    __slots__ = ("claims", "key", "last", "origin", "socket", "target")

    def __init__(
        self, key: Key, origin: Origin, target: Target, claims: tuple[Claim, ...], sock: socket.socket
    ) -> None:
        self.key, self.origin, self.target, self.claims, self.socket = key, origin, target, claims, sock
        self.last = time.monotonic()


class Flows:
    """The UDP flows of one listening socket.

    ``quota`` counts the connections and flows of each client and group. ``ended`` is called with each removed flow
    before its socket is closed.
    """

    def __init__(self, quota: Quota, ended: Callable[[ProxyFlow], None]) -> None:
        self._quota, self._ended = quota, ended
        self._known: dict[Key, ProxyFlow] = {}
        self._groups: dict[Hashable, dict[ProxyFlow, float]] = {}
        """Maps each client and each group to its flows, in the order of the CLOCK algorithm.

        The value of each flow is its last use (``last``) at the moment when the flow was added or moved to the end.
        """

    def get(self, key: Key) -> ProxyFlow | None:
        """Return the flow of the key ``key``, or None if no flow has this key."""
        return self._known.get(key)

    def __iter__(self) -> Iterator[ProxyFlow]:
        return iter(list(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def add(self, flow: ProxyFlow) -> None:
        """Add a flow. As long as its client or a group of its client has reached a limit, first remove an old flow."""
        while over := self._quota.over(flow.claims):
            self.remove(self._least_used(next((holder for holder in over if holder in self._groups), None)))
        self._quota.take(flow.claims)
        self._known[flow.key] = flow
        for holder in _holders(flow):
            self._groups.setdefault(holder, {})[flow] = flow.last

    def _least_used(self, holder: Hashable) -> ProxyFlow:
        """Return the least recently used flow of a client or group, approximately (CLOCK algorithm).

        ``holder`` is the client or group; None is the group of all flows. This function examines the flows in the
        group's order. If a flow was used after it was added or last moved, the function moves the flow to the end.
        Otherwise the function returns the flow.
        """
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
    """Return the client and the groups to which a flow belongs; None is the group of all flows."""
    return [None, *(claim.holder for claim in flow.claims)]
