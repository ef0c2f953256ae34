"""Host ports: from what an endpoint wants to publish to what it gets.

Knows Docker's order and its texts; the store tells what is taken by other endpoints, a probe tells what other programs
hold (`engine.listeners`). Publishes nothing itself.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from itertools import chain, islice
from typing import NamedTuple, Protocol

from engine.model import PortRecord, PortSpec

_WILDCARDS = ("0.0.0.0", "::")
IN_USE = "address already in use"
"""The one refusal after which another port is worth trying (EADDRINUSE)."""
NO_PROTOCOL = "protocol not supported"
"""The kernel has no such sockets at all (SCTP is a module), so that there is no address to complain about."""


class PortConflict(Exception):
    """A port cannot be published; the message is Docker's, below ``driver failed programming external ...``."""


class Probe(Protocol):
    """What the kernel says about host ports, in the network namespace of the calling process."""

    def ephemeral(self) -> Sequence[range]:
        """Ports the kernel may choose from: net.ipv4.ip_local_port_range without ip_local_reserved_ports."""

    def refusal(self, protocol: str, address: str, port: int) -> str | None:
        """Why another program could not bind this port now (``address already in use``), or None."""


@dataclass(frozen=True, slots=True)
class HostSide:
    """Where ports can be published: the network's default host address, and the families that reach the endpoint.

    ``ipv6`` is whether the host can listen on IPv6 at all: an endpoint without an IPv6 address is reached through its
    IPv4 one, as behind Docker's proxy.
    """

    probe: Probe
    default_ip: str = ""
    ipv4: bool = True
    ipv6: bool = True


def family(address: str) -> int:
    """Tell the IP version of a canonical address, without parsing it."""
    return 6 if ":" in address else 4


def allocate_ports(specs: Iterable[PortSpec], taken: Iterable[PortRecord], host: HostSide) -> list[PortRecord]:
    """Choose host addresses and ports for ``specs``, in Docker's order; ranges that advance together are one record.

    ``taken`` are the records of all other endpoints (`engine.store.api.Reader.ports`). Ports that leave no choice are
    settled first, so that a random one never takes them. Raises `PortConflict`.
    """
    wishes = [wish for spec in _in_dockers_order(specs) if (wish := _wish(spec, host)).addresses]
    allocation = _Allocation(host.probe, _Taken(taken))
    for wish in sorted(wishes, key=lambda wish: wish.freedom):
        wish.host_port = allocation.choose(wish)
    return _merge(_Single(w.spec.protocol, a, w.host_port, w.spec.port) for w in wishes for a in w.addresses)


def _in_dockers_order(specs: Iterable[PortSpec]) -> list[PortSpec]:
    """Sort: highest container port first, TCP before others, and of one port's bindings the last given first.

    It decides which of several conflicts is reported, and in what order inspect shows bindings.
    """
    numbered = sorted(enumerate(specs), key=lambda item: (-item[1].port, item[1].protocol != "tcp", -item[0]))
    return [spec for _, spec in numbered]


@dataclass(slots=True)
class _Wish:
    """One spec, the host addresses it means, and the port it got. ``ports`` is empty where any will do."""

    spec: PortSpec
    addresses: Sequence[str]
    ports: range
    host_port: int = 0

    @property
    def freedom(self) -> float:
        return len(self.ports) or float("inf")


def _wish(spec: PortSpec, host: HostSide) -> _Wish:
    first, _, last = spec.host_port.partition("-")
    ports = range(int(first), int(last or first) + 1) if spec.host_port not in ("", "0") else range(0)
    reachable = {4: host.ipv4, 6: host.ipv6}
    addresses = [address for address in _addresses(spec.host_ip, host.default_ip) if reachable[family(address)]]
    return _Wish(spec, addresses, ports)


@cache
def _addresses(host_ip: str, default_ip: str) -> Sequence[str]:
    """Say which host addresses a spec means: the IPv4 wildcard as a default stands for both families."""
    if not host_ip and default_ip in ("", "0.0.0.0"):
        return _WILDCARDS
    return (str(ip_address(host_ip or default_ip)),)


class _Taken:
    """Host ports in use, by protocol, family and number."""

    def __init__(self, records: Iterable[PortRecord]) -> None:
        self._holders: defaultdict[tuple[str, int, int], list[str]] = defaultdict(list)
        for record in records:
            for port in range(record.host_port, record.host_port_end + 1):
                self.add(record.protocol, record.host_ip, port)

    def add(self, protocol: str, address: str, port: int) -> None:
        self._holders[protocol, family(address), port].append(address)

    def collision(self, protocol: str, address: str, port: int) -> str | None:
        """Give the address that keeps ``address`` from having the port: an equal one, or a wildcard on either side."""
        holders = self._holders.get((protocol, family(address), port), ())
        if address in holders:
            return address
        return next((holder for holder in holders if holder in _WILDCARDS or address in _WILDCARDS), None)


@dataclass(slots=True)
class _Allocation:
    """The ports being chosen for one endpoint."""

    probe: Probe
    taken: _Taken
    chosen: defaultdict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))

    def choose(self, wish: _Wish) -> int:
        """Choose one port that is free on all of the wish's addresses, and take it."""
        port = self._fixed(wish) if wish.ports else self._any(wish)
        for address in wish.addresses:
            self.taken.add(wish.spec.protocol, address, port)
        return port

    def _fixed(self, wish: _Wish) -> int:
        """Take a given port, or the first of a range that no endpoint has; another program's listener is an error."""
        protocol, port = wish.spec.protocol, wish.ports[0]
        if len(wish.ports) > 1:
            port = next((port for port in wish.ports if self._untaken(wish, port)), 0)
            if not port:
                raise PortConflict("all ports are allocated")
        for address in wish.addresses:
            holder = self.taken.collision(protocol, address, port)
            if holder == address:
                raise PortConflict(f"Bind for {address}:{port} failed: port is already allocated")
            reason = IN_USE if holder else self.probe.refusal(protocol, address, port)
            if reason:
                raise _refused(protocol, address, port, reason)
        return port

    def _any(self, wish: _Wish) -> int:
        """Take a port of the kernel's range; bindings of one container port get the same where possible."""
        siblings = self.chosen[wish.spec.protocol, wish.spec.port]
        for port in chain(siblings, _from_anywhere(self.probe.ephemeral())):
            if self._untaken(wish, port) and self._bindable(wish, port):
                siblings.append(port)
                return port
        raise PortConflict("all ports are allocated")

    def _untaken(self, wish: _Wish, port: int) -> bool:
        return not any(self.taken.collision(wish.spec.protocol, address, port) for address in wish.addresses)

    def _bindable(self, wish: _Wish, port: int) -> bool:
        for address in wish.addresses:
            reason = self.probe.refusal(wish.spec.protocol, address, port)
            if reason == IN_USE:
                return False
            if reason:  # no port of this address will do
                raise _refused(wish.spec.protocol, address, port, reason)
        return True


def _refused(protocol: str, address: str, port: int, reason: str) -> PortConflict:
    if reason == NO_PROTOCOL:
        return PortConflict(f"Error starting userland proxy: {reason}")
    where = f"[{address}]:{port}" if family(address) == 6 else f"{address}:{port}"
    return PortConflict(f"Error starting userland proxy: listen {protocol}{family(address)} {where}: bind: {reason}")


def _from_anywhere(ranges: Sequence[range]) -> Iterator[int]:
    """Go round all ports once from a random one, so that a port just given up is not the next one handed out."""
    total = sum(map(len, ranges))
    start = int.from_bytes(os.urandom(4)) % total if total else 0
    return chain(islice(chain(*ranges), start, None), islice(chain(*ranges), start))


class _Single(NamedTuple):
    """One published port; a tuple, since there may be tens of thousands."""

    protocol: str
    address: str
    host_port: int
    port: int


def _merge(singles: Iterable[_Single]) -> list[PortRecord]:
    """Join ports that advance together on both sides; records come in the order of their first port.

    That order is what inspect shows for several bindings of one container port.
    """
    rank = {single: number for number, single in enumerate(singles)}
    runs: list[list[_Single]] = []
    for single in sorted(rank, key=lambda s: (s.protocol, s.address, s.host_port - s.port, s.port)):
        if runs and _follows(runs[-1][-1], single):
            runs[-1].append(single)
        else:
            runs.append([single])
    runs.sort(key=lambda run: min(rank[single] for single in run))
    return [_record(run[0], run[-1]) for run in runs]


def _follows(before: _Single, after: _Single) -> bool:
    return after == _Single(before.protocol, before.address, before.host_port + 1, before.port + 1)


def _record(first: _Single, last: _Single) -> PortRecord:
    return PortRecord(first.protocol, first.address, first.host_port, last.host_port, first.port, last.port)
