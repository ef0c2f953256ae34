"""Choose host ports for the ports that an endpoint publishes, in Docker's order and with Docker's messages.

The local store supplies the ports of other endpoints. A probe reports the ports that other programs use
(`engine.ports.probe`). This module only chooses ports and does not publish them.

It also has functions that split and compare published ranges (``-p``) and exposed ranges (``80/tcp``) of container
ports. These functions depend only on their arguments.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from ipaddress import ip_address
from itertools import chain, islice, pairwise
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from drivers.port_ranges import merged, range_text
from drivers.scalars import socket_text
from engine.model import NetworkRecord, PortRecord, PortSpec

_WILDCARDS = ("0.0.0.0", "::")
GATEWAY_MODES = {version: f"com.docker.network.bridge.gateway_mode_ipv{version}" for version in (4, 6)}
IN_USE = "address already in use"
"""The error text of bind(2) for EADDRINUSE. After this error, another port may be tried; after any other error, no
other port is tried.
"""
NO_ADDRESS = "cannot assign requested address"
"""The error text of bind(2) for EADDRNOTAVAIL."""
NO_PROTOCOL = "protocol not supported"
"""The error text if the kernel does not support a protocol (SCTP is a kernel module).

The message that the user then sees has this text and no address.
"""


class PortConflict(Exception):
    """Raised if a port cannot be published.

    The message is the text that follows ``driver failed programming external ...`` in Docker's output. If another
    endpoint has the host port, ``protocol``, ``address`` and ``port`` are those of that endpoint; else ``port`` is 0.
    ``hint`` says why the kernel refused the port, or is "".
    """

    def __init__(self, text: str, protocol: str = "", address: str = "", port: int = 0, hint: str = "") -> None:
        super().__init__(text)
        self.protocol, self.address, self.port, self.hint = protocol, address, port, hint


class PortProbe(Protocol):
    """Asks the kernel about host ports, in the network namespace of the calling process."""

    def ephemeral(self) -> Sequence[range]:
        """Return the port ranges from which the kernel chooses a port for a socket.

        The ranges are net.ipv4.ip_local_port_range without the ports of ip_local_reserved_ports.
        """

    def candidates(self, ports: range) -> Sequence[int]:
        """Return the ports of a range that the caller must test with `refusal`.

        If `refusal` returns None for each returned port, all ports of the range are free.
        """

    def refusal(self, protocol: str, address: str, port: int) -> str | None:
        """Return why the port is not free, such as ``address already in use``, or None if it is free.

        The text is the error of bind(2) in lower case, or `NO_PROTOCOL`. The probe may answer without bind(2) if it
        knows that the port is free.
        """


class RangeCursor(Protocol):
    """The interface of an object that remembers the last host port chosen from each published range (``-p 1-9:80``).

    The last port is stored separately for each protocol and host address.
    """

    def last(self, protocol: str, address: str, ports: range) -> int:
        """Return the last port that was chosen from the range, or 0 if no port was chosen from it yet."""

    def move(self, protocol: str, address: str, ports: range, port: int) -> None:
        """Store ``port`` as the last port that was chosen from the range."""


class HostAddressing(Struct, frozen=True):
    """What the host offers for the published ports of an endpoint: free ports, a default address, usable IP versions.

    - ``probe`` asks the kernel whether a host port is free.
    - ``default_ip`` is the host address for a port that is published without a host address: the network's option
      host_binding_ipv4, or else the daemon.json key ip. "" means all addresses.
    - ``ipv4`` and ``ipv6`` are True if the host can listen on the IP version, and can forward its packets to the
      endpoint. If the endpoint has no IPv6 address, hawse forwards IPv6 clients to its IPv4 address, as Docker's proxy
      does.
    - ``untranslated`` has the IP versions (4, 6) that use no host port because of the gateway mode, such as "routed".
    """

    probe: PortProbe
    default_ip: str = ""
    ipv4: bool = True
    ipv6: bool = True
    untranslated: frozenset[int] = frozenset()


def family(address: str) -> int:
    """Return the IP version (4 or 6) of a canonical address, without parsing the address."""
    return 6 if ":" in address else 4


def is_translated(network: NetworkRecord, version: int, *, has_ipv6: bool) -> bool:
    """Return whether the published ports of an endpoint get host ports for the IP version ``version`` (4 or 6).

    The answer depends on the network's gateway modes: a routed or isolated mode gives no host ports. ``has_ipv6`` says
    whether the endpoint has an IPv6 address. If it has none, IPv6 packets are forwarded to its IPv4 address. IPv6 host
    ports then require that both gateway modes are NAT.
    """
    options = network.options or {}
    versions = (6, 4) if version == 6 and not has_ipv6 else (version,)
    return all(options.get(GATEWAY_MODES[required_version], "nat").startswith("nat") for required_version in versions)


def allocate_ports(
    specs: Iterable[PortSpec], taken: Iterable[PortRecord], host: HostAddressing, cursor: RangeCursor
) -> list[PortRecord]:
    """Choose host addresses and host ports for ``specs``; raises `PortConflict` if no suitable host port is free.

    Returns the port records in Docker's order. Fixed ports are allocated first, so that a random port never takes a
    fixed one. Consecutive host ports of consecutive container ports become one record. Allocating a range takes as much
    time as allocating a single port.

    - ``taken``: the port records of all other endpoints (`engine.store.api.Reader.ports`)
    - ``cursor``: knows the last port chosen from each range
    """
    parsed = (_port_request(spec, host) for spec in _in_dockers_order(specs))
    requests = [request for request in parsed if request.addresses or request.untranslated]
    allocation = _Allocation(host.probe, _Taken(taken), cursor)
    for request in sorted(requests, key=lambda request: request.spec.choices):
        if request.addresses:
            request.host_port = allocation.choose(request)
    counts = Counter(request.inside for request in requests)
    return _merge((record, counts[request.inside] == 1) for request in requests for record in request.records())


def _in_dockers_order(specs: Iterable[PortSpec]) -> list[PortSpec]:
    """Sort port requests in Docker's order: highest container port first, then TCP first, then last binding first.

    The order decides which of several conflicts is reported, and in which order ``inspect`` shows bindings.
    """
    numbered = sorted(
        enumerate(split_overlapping(specs)), key=lambda item: (-item[1].ports[-1], item[1].protocol != "tcp", -item[0])
    )
    return [spec for _, spec in numbered]


class _PortRequest(Struct):
    """One port request: its PortSpec, its host addresses, and its allocated host ports.

    The request gets host ports on ``addresses``. It gets none on the host addresses ``untranslated``, because of the
    network's gateway mode. ``host_port`` is the lowest allocated host port, or 0 if no host port is allocated.
    """

    spec: PortSpec
    addresses: Sequence[str]
    untranslated: Sequence[str] = ()
    host_port: int = 0

    @property
    def inside(self) -> tuple[str, int]:
        """The protocol and the first container port of the request.

        The pair identifies the container ports, because `split_overlapping` has split the ranges:
        two requests have either the same container ports or none in common.
        """
        return self.spec.protocol, self.spec.port

    def records(self) -> Iterator[PortRecord]:
        """Yield one port record for each host address of the request, IPv4 first."""
        ports, last = self.spec.ports, self.host_port + len(self.spec.ports) - 1
        for address in sorted((*self.addresses, *self.untranslated), key=family):
            first, end = (0, 0) if address in self.untranslated else (self.host_port, last)
            yield PortRecord(self.spec.protocol, address, first, end, ports[0], ports[-1])


def _port_request(spec: PortSpec, host: HostAddressing) -> _PortRequest:
    reachable = {4: host.ipv4, 6: host.ipv6}
    addresses = [address for address in _addresses(spec.host_ip, host.default_ip) if reachable[family(address)]]
    untranslated = [address for address in addresses if family(address) in host.untranslated]
    return _PortRequest(spec, [address for address in addresses if address not in untranslated], untranslated)


@cache
def _addresses(host_ip: str, default_ip: str) -> Sequence[str]:
    """Return the host addresses for a port request with the address ``host_ip``.

    An empty ``host_ip`` means ``default_ip``. If ``host_ip`` is empty, and ``default_ip`` is empty or 0.0.0.0, the
    wildcards of both IP versions are returned.
    """
    if not host_ip and default_ip in ("", "0.0.0.0"):
        return _WILDCARDS
    return (recorded_address(host_ip or default_ip),)


@cache
def recorded_address(text: str) -> str:
    """Return the host address ``text`` in canonical form, as in `PortRecord.host_ip`; "" gives "".

    An IPv4-mapped IPv6 address is treated as its IPv4 address, as in Go. Example: "2001:DB8::1" gives "2001:db8::1".
    """
    if not text:
        return ""
    address = ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)


class _Taken:
    """The host ports that endpoints use.

    Single ports are stored by protocol, IP version and number. Port ranges are stored in a list, because there are few
    ranges.
    """

    def __init__(self, records: Iterable[PortRecord]) -> None:
        self._holders: defaultdict[tuple[str, int], defaultdict[int, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._ranges: defaultdict[tuple[str, int], list[tuple[range, str]]] = defaultdict(list)
        for record in records:
            if record.host_port:
                self.add(record.protocol, record.host_ip, range(record.host_port, record.host_port_end + 1))

    def add(self, protocol: str, address: str, ports: range) -> None:
        key = protocol, family(address)
        if len(ports) == 1:
            self._holders[key][ports[0]].append(address)
        else:
            self._ranges[key].append((ports, address))

    def collision(self, protocol: str, address: str, port: int) -> str | None:
        """Return a host address that conflicts with ``address`` and on which an endpoint uses the port, or None.

        Two addresses conflict if they are equal, or if one of the two is a wildcard. An address equal to ``address`` is
        returned first. ``protocol`` is tcp, udp or sctp.
        """
        key = protocol, family(address)
        holders = [*self._holders[key].get(port, ()), *(held for ports, held in self._ranges[key] if port in ports)]
        if address in holders:
            return address
        return next((holder for holder in holders if holder in _WILDCARDS or address in _WILDCARDS), None)

    def candidates(self, protocol: str, address: str, ports: range) -> Iterator[int]:
        """Yield the ports in ``ports`` that other endpoints hold for the same protocol and IP family.

        Such a port is only a possible conflict, because the other endpoint may hold it at another address. For each
        port range of another endpoint, only the highest port in common with ``ports`` is yielded. Docker's error names
        this port.
        """
        key = protocol, family(address)
        yield from (port for port in self._holders[key] if port in ports)
        overlaps = (range(max(ports[0], held[0]), min(ports[-1], held[-1]) + 1) for held, _ in self._ranges[key])
        yield from (overlap[-1] for overlap in overlaps if overlap)


class _Allocation(Struct):
    """The choice of host ports for one endpoint.

    ``taken`` has the ports in use. ``chosen`` maps a protocol and a container port to the random host ports that were
    chosen for this container port so far.
    """

    probe: PortProbe
    taken: _Taken
    cursor: RangeCursor
    chosen: defaultdict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))

    def choose(self, request: _PortRequest) -> int:
        """Choose ports that are free on all addresses of the request, and reserve them; return the lowest port."""
        if request.spec.is_fixed:
            first = self._fixed(request, request.spec.host_ports)
        else:
            first = self._first_of_range(request) if request.spec.host_ports else self._any(request)
        for address in request.addresses:
            self.taken.add(request.spec.protocol, address, range(first, first + len(request.spec.ports)))
        return first

    def _fixed(self, request: _PortRequest, ports: range) -> int:
        """Check that the ports ``ports`` are free on all addresses of the request, and return the lowest port.

        Raises `PortConflict`, which names the highest port that is not free.
        """
        for port in self._doubtful(request, ports):
            for address in request.addresses:
                self._claim(request.spec.protocol, address, port)
        return ports[0]

    def _doubtful(self, request: _PortRequest, ports: range) -> list[int]:
        if len(ports) == 1:
            return [ports[0]]
        held = (
            p for address in request.addresses for p in self.taken.candidates(request.spec.protocol, address, ports)
        )
        return sorted({*held, *self.probe.candidates(ports)}, reverse=True)

    def _claim(self, protocol: str, address: str, port: int) -> None:
        holder = self.taken.collision(protocol, address, port)
        if holder == address:
            raise PortConflict(f"Bind for {address}:{port} failed: port is already allocated", protocol, address, port)
        reason = IN_USE if holder else self.probe.refusal(protocol, address, port)
        if reason:
            refusal = _refused(protocol, address, port, reason)
            if holder:
                refusal.protocol, refusal.address, refusal.port = protocol, holder, port
            raise refusal

    def _first_of_range(self, request: _PortRequest) -> int:
        """Return the first port of the requested range that is free on all addresses of the request.

        As in Docker, the search starts after the last port that was chosen from the range. Raises `PortConflict` in two
        cases:

        - Endpoints use all ports of the range.
        - Other programs use all ports that no endpoint uses. The error names the first of these ports.
        """
        protocol, ports = request.spec.protocol, request.spec.host_ports
        last = self.cursor.last(protocol, request.addresses[0], ports)
        after = range(last + 1, ports.stop) if last in ports else ports
        untaken = (port for port in chain(after, ports) if self._untaken(request, port))
        first = next(untaken, 0)
        if not first:
            raise PortConflict("all ports are allocated")
        port = next((port for port in chain((first,), untaken) if self._bindable(request, port)), first)
        for address in request.addresses:
            self.cursor.move(protocol, address, ports, port)
        return self._fixed(request, range(port, port + 1))

    def _any(self, request: _PortRequest) -> int:
        """Choose a port of the kernel's port range that is free on all addresses of the request.

        The range is net.ipv4.ip_local_port_range without the reserved ports. All bindings of one container port get the
        same host port if possible. Raises `PortConflict` if no port is free, or if the kernel refuses an address.
        """
        siblings = self.chosen[request.spec.protocol, request.spec.port]
        for port in chain(siblings, _from_anywhere(self.probe.ephemeral())):
            if self._untaken(request, port) and self._bindable(request, port):
                siblings.append(port)
                return port
        raise PortConflict("all ports are allocated")

    def _untaken(self, request: _PortRequest, port: int) -> bool:
        return not any(self.taken.collision(request.spec.protocol, address, port) for address in request.addresses)

    def _bindable(self, request: _PortRequest, port: int) -> bool:
        for address in request.addresses:
            reason = self.probe.refusal(request.spec.protocol, address, port)
            if reason == IN_USE:
                return False
            if reason:  # the kernel refuses to bind any port at this address
                raise _refused(request.spec.protocol, address, port, reason)
        return True


def _refused(protocol: str, address: str, port: int, reason: str) -> PortConflict:
    if reason == NO_PROTOCOL:
        return PortConflict(f"Error starting userland proxy: {reason}")
    listen = f"listen {protocol}{family(address)} {socket_text(address, port)}"
    hint = ""
    if reason == IN_USE:
        option = {"tcp": "t", "udp": "u"}.get(protocol, "S")  # S: SCTP
        hint = f"Another program of this host has port {port}/{protocol}. Which: ss -ln{option}p 'sport = :{port}'"
    elif reason == NO_ADDRESS:
        hint = f"This host has no address {address}. Its addresses: ip -brief address"
    return PortConflict(f"Error starting userland proxy: {listen}: bind: {reason}", hint=hint)


def _from_anywhere(ranges: Sequence[range]) -> Iterator[int]:
    """Yield each port of the ranges once: from a random port to the end, then from the beginning to the random port.

    With a fixed start, a port that was just freed would be chosen again immediately.
    """
    total = sum(map(len, ranges))
    start = int.from_bytes(os.urandom(4)) % total if total else 0
    return chain(islice(chain(*ranges), start, None), islice(chain(*ranges), start))


def _merge(records: Iterable[tuple[PortRecord, bool]]) -> list[PortRecord]:
    """Join records of consecutive ports; a joined record takes the place of the first of its records.

    Each item of ``records`` is a record and a flag. The flag is True if the container port has a single binding. A
    record whose flag is False is not joined. ``inspect`` shows several bindings of a port in the order of their
    records, and joining would change this order.
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


def split_overlapping(specs: Iterable[PortSpec]) -> Iterator[PortSpec]:
    """Split port ranges so that any two resulting ranges have either the same container ports or none in common.

    The host ports of each resulting range are chosen together. Example: ``-p 80-90:80-90`` is split into the container
    ports 80 to 84, 85, and 86 to 90, because of ``-p 185:85``, which stays one range.
    """
    bindings = list(specs)
    protocols = {spec.protocol for spec in bindings}
    edges = {p: sorted({edge for spec in bindings if spec.protocol == p for edge in _edges(spec)}) for p in protocols}
    for spec in bindings:
        known = edges[spec.protocol]
        starts = known[bisect_left(known, spec.port) : bisect_left(known, spec.ports.stop)]
        yield from (part(spec, start, stop - 1) for start, stop in pairwise([*starts, spec.ports.stop]))


def _edges(spec: PortSpec) -> Iterable[int]:
    """Return the container ports at which overlapping ranges must be split because of ``spec``.

    - The user gave host ports: the first port of the range, and the port after the last port.
    - The user gave no host ports: also all ports in between, because each container port gets its own host port.
    """
    whole = spec.ports.start, spec.ports.stop
    return whole if 0 not in (spec.host_ports or (0,)) else range(whole[0], whole[1] + 1)


def part(spec: PortSpec, first: int, last: int) -> PortSpec:
    """Return the part of ``spec`` that publishes the container ports from ``first`` to ``last``, both included."""
    if last - first == spec.ports[-1] - spec.port:
        return spec
    host = spec.host_ports[first - spec.port : last + 1 - spec.port]
    text = range_text(host[0], host[-1]) if host else spec.host_port
    return replace(spec, port=first, port_end=last if last > first else 0, host_port=text)


def around(spec: PortSpec, first: int, last: int) -> list[PortSpec]:
    """Return the parts of ``spec`` that publish the container ports below ``first`` and those above ``last``.

    The result has 0 to 2 parts.
    """
    sides = ((spec.port, min(first - 1, spec.ports[-1])), (max(last + 1, spec.port), spec.ports[-1]))
    return [part(spec, start, end) for start, end in sides if start <= end]


def includes(outer: PortSpec, inner: PortSpec) -> bool:
    """Return whether ``outer`` publishes all container ports of ``inner`` at the same host ports as ``inner``."""
    if (outer.protocol, outer.host_ip) != (inner.protocol, inner.host_ip) or inner.port not in outer.ports:
        return False
    return inner.ports[-1] in outer.ports and part(outer, inner.port, inner.ports[-1]) == inner


def exposed_port(spec: PortSpec) -> str:
    """Return the exposed-port entry (such as ``80/tcp``) for the container ports of ``spec``."""
    return f"{range_text(spec.port, spec.ports[-1])}/{spec.protocol}"


Span = tuple[str, int, int]
"""The protocol, the first port and the last port of an exposed range."""


def exposed_ranges(entries: Iterable[str]) -> list[Span]:
    """Convert exposed-port entries to sorted ranges; ranges that overlap or touch become one range.

    Example: "80/tcp" and "81-90/tcp" give [("tcp", 80, 90)].
    """
    return merged(map(_span, entries), touching=True)


def expand_exposed(entries: Iterable[str]) -> Iterator[str]:
    """Yield every single port of exposed-port entries; a port in several entries is repeated.

    Example: "80-81/tcp" gives "80/tcp", "81/tcp".
    """
    for entry in entries:
        if "-" in entry.partition("/")[0]:
            protocol, first, last = _span(entry)
            yield from (f"{port}/{protocol}" for port in range(first, last + 1))
        else:
            yield entry


def _span(entry: str) -> Span:
    ports, _, protocol = entry.partition("/")
    first, _, last = ports.partition("-")
    return protocol or "tcp", int(first), int(last or first)
