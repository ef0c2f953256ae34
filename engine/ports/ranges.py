"""Split and compare published ranges (``-p``) and exposed ranges (``80/tcp``) of container ports.

All functions depend only on their arguments.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from engine.model import PortSpec

Span = tuple[str, int, int]
"""The protocol, the first port and the last port of an exposed range."""


def split_overlapping(specs: Iterable[PortSpec]) -> Iterator[PortSpec]:
    """Split port ranges so that any two resulting ranges have either the same container ports or none in common.

    The host ports of each resulting range are chosen together.
    """
    bindings = list(specs)
    protocols = {spec.protocol for spec in bindings}
    edges = {p: sorted({edge for spec in bindings if spec.protocol == p for edge in _edges(spec)}) for p in protocols}
    for spec in bindings:
        known = edges[spec.protocol]
        starts = known[bisect_left(known, spec.port) : bisect_left(known, spec.ports.stop)]
        yield from (subrange(spec, start, stop - 1) for start, stop in pairwise([*starts, spec.ports.stop]))


def _edges(spec: PortSpec) -> Iterable[int]:
    """Return the container ports at which a range may be split.

    A range for which the user gave no host ports may be split at every port. Any other range may be split only at its
    two ends.
    """
    whole = spec.ports.start, spec.ports.stop
    return whole if 0 not in (spec.host_ports or (0,)) else range(whole[0], whole[1] + 1)


def subrange(spec: PortSpec, first: int, last: int) -> PortSpec:
    """Return the part of ``spec`` that publishes container ports ``first`` to ``last``."""
    if last - first == spec.ports[-1] - spec.port:
        return spec
    host = spec.host_ports[first - spec.port : last + 1 - spec.port]
    text = _text(host) if host else spec.host_port
    return replace(spec, port=first, port_end=last if last > first else 0, host_port=text)


def without(spec: PortSpec, first: int, last: int) -> list[PortSpec]:
    """Return the parts of ``spec`` without container ports ``first`` to ``last``."""
    sides = ((spec.port, min(first - 1, spec.ports[-1])), (max(last + 1, spec.port), spec.ports[-1]))
    return [subrange(spec, start, end) for start, end in sides if start <= end]


def includes(one: PortSpec, other: PortSpec) -> bool:
    """Return whether ``one`` publishes all container ports of ``other`` at the same host ports as ``other``."""
    if (one.protocol, one.host_ip) != (other.protocol, other.host_ip) or other.port not in one.ports:
        return False
    return other.ports[-1] in one.ports and subrange(one, other.port, other.ports[-1]) == other


def exposed_port(spec: PortSpec) -> str:
    """Return the exposed-port entry (such as ``80/tcp``) for the container ports of ``spec``."""
    return f"{_text(spec.ports)}/{spec.protocol}"


def _text(ports: range) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"


def exposed_ranges(entries: Iterable[str]) -> list[Span]:
    """Convert exposed-port entries to sorted ranges that neither overlap nor touch."""
    ranges: list[Span] = []
    for protocol, first, last in sorted(map(_span, entries)):
        if ranges and ranges[-1][0] == protocol and first <= ranges[-1][2] + 1:
            ranges[-1] = (protocol, ranges[-1][1], max(last, ranges[-1][2]))
        else:
            ranges.append((protocol, first, last))
    return ranges


def expand_exposed(entries: Iterable[str]) -> Iterator[str]:
    """Yield every single port of exposed-port entries; a port in several entries is repeated."""
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
