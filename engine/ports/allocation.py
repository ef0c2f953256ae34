"""Host ports: from what an endpoint wants to publish to what it gets.

Knows Docker's order and its texts; the store tells what is taken by other endpoints, a probe tells what other programs
hold (`engine.ports.probe`). Publishes nothing itself.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_address
from itertools import chain, islice
from typing import Protocol

from engine.model import PortRecord, PortSpec
from engine.ports.specs import split_overlapping

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

    def candidates(self, ports: range) -> Sequence[int]:
        """Those of ``ports`` that `refusal` has to be asked about, so that all others are free too."""

    def refusal(self, protocol: str, address: str, port: int) -> str | None:
        """Why another program could not bind this port now (``address already in use``), or None."""


@dataclass(frozen=True, slots=True)
class HostAddressing:
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


def allocate_ports(specs: Iterable[PortSpec], taken: Iterable[PortRecord], host: HostAddressing) -> list[PortRecord]:
    """Choose host addresses and ports for ``specs``, in Docker's order; ranges that advance together are one record.

    ``taken`` are the records of all other endpoints (`engine.store.api.Reader.ports`). Ports that leave no choice are
    settled first, so that a random one never takes them. Raises `PortConflict`. A range costs what one port costs.
    """
    wishes = [wish for spec in _in_dockers_order(specs) if (wish := _port_request(spec, host)).addresses]
    allocation = _Allocation(host.probe, _Taken(taken))
    for wish in sorted(wishes, key=lambda wish: wish.choices):
        wish.host_port = allocation.choose(wish)
    wanted = Counter(wish.inside for wish in wishes)
    return _merge((record, wanted[wish.inside] == 1) for wish in wishes for record in wish.records())


def _in_dockers_order(specs: Iterable[PortSpec]) -> list[PortSpec]:
    """Sort: highest container port first, TCP before others, and of one port's bindings the last given first.

    It decides which of several conflicts is reported, and in what order inspect shows bindings.
    """
    numbered = sorted(
        enumerate(split_overlapping(specs)), key=lambda item: (-item[1].ports[-1], item[1].protocol != "tcp", -item[0])
    )
    return [spec for _, spec in numbered]


@dataclass(slots=True)
class _PortRequest:
    """One spec, the host addresses it means, and the port it got, or the first of them."""

    spec: PortSpec
    addresses: Sequence[str]
    host_port: int = 0

    @property
    def is_fixed(self) -> bool:
        """Whether it leaves no choice: as many host ports as container ports."""
        return len(self.spec.host_ports) == len(self.spec.ports)

    @property
    def choices(self) -> float:
        return 1 if self.is_fixed else len(self.spec.host_ports) or float("inf")

    @property
    def inside(self) -> tuple[str, int]:
        """The container's side; wishes have all of that in common or nothing (`engine.port_specs.apart`)."""
        return self.spec.protocol, self.spec.port

    def records(self) -> Iterator[PortRecord]:
        """What has come of it."""
        ports = self.spec.ports
        for address in self.addresses:
            last = self.host_port + len(ports) - 1
            yield PortRecord(self.spec.protocol, address, self.host_port, last, ports[0], ports[-1])


def _port_request(spec: PortSpec, host: HostAddressing) -> _PortRequest:
    reachable = {4: host.ipv4, 6: host.ipv6}
    addresses = [address for address in _addresses(spec.host_ip, host.default_ip) if reachable[family(address)]]
    return _PortRequest(spec, addresses)


@cache
def _addresses(host_ip: str, default_ip: str) -> Sequence[str]:
    """Say which host addresses a spec means: the IPv4 wildcard as a default stands for both families.

    An IPv4 address in IPv6's dress is one, as in Go.
    """
    if not host_ip and default_ip in ("", "0.0.0.0"):
        return _WILDCARDS
    address = ip_address(host_ip or default_ip)
    return (str(getattr(address, "ipv4_mapped", None) or address),)


class _Taken:
    """Host ports in use: single ones by protocol, family and number; ranges, of which there are few, in a list."""

    def __init__(self, records: Iterable[PortRecord]) -> None:
        self._holders: defaultdict[tuple[str, int], defaultdict[int, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._ranges: defaultdict[tuple[str, int], list[tuple[range, str]]] = defaultdict(list)
        for record in records:
            self.add(record.protocol, record.host_ip, range(record.host_port, record.host_port_end + 1))

    def add(self, protocol: str, address: str, ports: range) -> None:
        key = protocol, family(address)
        if len(ports) == 1:
            self._holders[key][ports[0]].append(address)
        else:
            self._ranges[key].append((ports, address))

    def collision(self, protocol: str, address: str, port: int) -> str | None:
        """Give the address that keeps ``address`` from having the port: an equal one, or a wildcard on either side."""
        key = protocol, family(address)
        holders = [*self._holders[key].get(port, ()), *(held for ports, held in self._ranges[key] if port in ports)]
        if address in holders:
            return address
        return next((holder for holder in holders if holder in _WILDCARDS or address in _WILDCARDS), None)

    def candidates(self, protocol: str, address: str, ports: range) -> Iterator[int]:
        """Those of ``ports`` that may collide; of a range that is held the highest stands for all."""
        key = protocol, family(address)
        yield from (port for port in self._holders[key] if port in ports)
        overlaps = (range(max(ports[0], held[0]), min(ports[-1], held[-1]) + 1) for held, _ in self._ranges[key])
        yield from (overlap[-1] for overlap in overlaps if overlap)


@dataclass(slots=True)
class _Allocation:
    """The ports being chosen for one endpoint."""

    probe: Probe
    taken: _Taken
    chosen: defaultdict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))

    def choose(self, wish: _PortRequest) -> int:
        """Choose ports that are free on all of the wish's addresses, and take them; gives the first."""
        if wish.is_fixed:
            first = self._fixed(wish, wish.spec.host_ports)
        else:
            first = self._first_of_range(wish) if wish.spec.host_ports else self._any(wish)
        for address in wish.addresses:
            self.taken.add(wish.spec.protocol, address, range(first, first + len(wish.spec.ports)))
        return first

    def _fixed(self, wish: _PortRequest, ports: range) -> int:
        """Take given ports; the highest that cannot be had is reported."""
        for port in self._doubtful(wish, ports):
            for address in wish.addresses:
                self._claim(wish.spec.protocol, address, port)
        return ports[0]

    def _doubtful(self, wish: _PortRequest, ports: range) -> list[int]:
        if len(ports) == 1:
            return [ports[0]]
        held = (p for address in wish.addresses for p in self.taken.candidates(wish.spec.protocol, address, ports))
        return sorted({*held, *self.probe.candidates(ports)}, reverse=True)

    def _claim(self, protocol: str, address: str, port: int) -> None:
        holder = self.taken.collision(protocol, address, port)
        if holder == address:
            raise PortConflict(f"Bind for {address}:{port} failed: port is already allocated")
        reason = IN_USE if holder else self.probe.refusal(protocol, address, port)
        if reason:
            raise _refused(protocol, address, port, reason)

    def _first_of_range(self, wish: _PortRequest) -> int:
        """Take the first of a range that no endpoint has; another program's listener is an error."""
        port = next((port for port in wish.spec.host_ports if self._untaken(wish, port)), 0)
        if not port:
            raise PortConflict("all ports are allocated")
        return self._fixed(wish, range(port, port + 1))

    def _any(self, wish: _PortRequest) -> int:
        """Take a port of the kernel's range; bindings of one container port get the same where possible."""
        siblings = self.chosen[wish.spec.protocol, wish.spec.port]
        for port in chain(siblings, _from_anywhere(self.probe.ephemeral())):
            if self._untaken(wish, port) and self._bindable(wish, port):
                siblings.append(port)
                return port
        raise PortConflict("all ports are allocated")

    def _untaken(self, wish: _PortRequest, port: int) -> bool:
        return not any(self.taken.collision(wish.spec.protocol, address, port) for address in wish.addresses)

    def _bindable(self, wish: _PortRequest, port: int) -> bool:
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


def _merge(records: Iterable[tuple[PortRecord, bool]]) -> list[PortRecord]:
    """Join records that advance together on both sides; they come in the order of their highest port.

    Only those marked are joined: the order is what inspect shows for several bindings of one container port, and no
    place of a range is right for all of its ports where others share some.
    """
    ranked = [(rank, record, single) for rank, (record, single) in enumerate(dict(records).items())]
    ranked.sort(key=lambda r: (r[1].protocol, r[1].host_ip, r[1].host_port - r[1].port, r[1].port))
    runs: list[tuple[int, PortRecord, bool]] = []
    for rank, record, single in ranked:
        first, before, joinable = runs[-1] if runs else (rank, record, False)
        if single and joinable and _follows(before, record):
            joined = replace(before, host_port_end=record.host_port_end, port_end=record.port_end)
            runs[-1] = min(first, rank), joined, True
        else:
            runs.append((rank, record, single))
    return [record for _, record, _ in sorted(runs, key=lambda run: run[0])]


def _follows(before: PortRecord, after: PortRecord) -> bool:
    same_side = (before.protocol, before.host_ip) == (after.protocol, after.host_ip)
    return same_side and (after.host_port, after.port) == (before.host_port_end + 1, before.port_end + 1)
