"""Functions that select, remove or merge ports in port ranges. The functions have no side effects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, Self, TypeVar

from drivers.model import PortBinding


class PortRange(Protocol):
    """The type of any Struct that has the port fields of `drivers.model.PortBinding`."""

    def __replace__(self, /, **changes: Any) -> Self:
        """Return a copy with other values in some fields, as ``copy.replace`` of Python 3.13 does."""

    @property
    def host_port(self) -> int:
        """The first port of the range on the host, or 0 if the range uses no host port."""

    @property
    def port(self) -> int:
        """The first port of the range in the container."""

    @property
    def port_end(self) -> int:
        """The last port of the range in the container."""


R = TypeVar("R", bound=PortRange)
Kind = TypeVar("Kind", str, tuple[str, str])


def range_text(first: int, last: int) -> str:
    """Return a port range as text, such as "8000-8010", or a single port such as "80"."""
    return str(first) if first == last else f"{first}-{last}"


def merged(ranges: Iterable[tuple[Kind, int, int]], *, touching: bool = False) -> list[tuple[Kind, int, int]]:
    """Sort port ranges, and merge the ranges of one kind that overlap; with ``touching``, also adjacent ranges.

    A range is (kind, first port, last port), and includes its last port. The kind is for example the protocol.
    """
    gap, left = int(touching), list[tuple[Kind, int, int]]()
    for kind, first, last in sorted(ranges):
        if left and left[-1][0] == kind and first <= left[-1][2] + gap:
            left[-1] = (kind, left[-1][1], max(last, left[-1][2]))
        else:
            left.append((kind, first, last))
    return left


def part(held: R, first: int, last: int) -> list[R]:
    """Return the part of the port range ``held`` that leads to the container ports ``first`` to ``last``.

    The port ``last`` is included. The host's range is cut in the same way. The list has one range, or is empty.
    """
    start, end = max(first, held.port), min(last, held.port_end)
    if start > end:
        return []
    if not held.host_port:
        return [held.__replace__(port=start, port_end=end)]
    shift = held.host_port - held.port
    return [held.__replace__(port=start, port_end=end, host_port=start + shift, host_port_end=end + shift)]


def around(held: R, first: int, last: int) -> list[R]:
    """Return the parts of the port range ``held`` before and after the container ports ``first`` to ``last``.

    The result has at most two ranges, and contains neither ``first`` nor ``last``.
    """
    return [*part(held, held.port, first - 1), *part(held, last + 1, held.port_end)]


def without(held: Iterable[PortBinding], gone: Iterable[PortBinding]) -> list[PortBinding]:
    """Return the port ranges ``held`` without the ports of the ranges ``gone``.

    A range in ``gone`` may be only a part of a range in ``held``.
    """
    bindings, holes = dict.fromkeys(held), dict.fromkeys(gone)
    left = [binding for binding in bindings if binding not in holes]  # fast path for ranges that are equal
    for hole in (binding for binding in holes if binding not in bindings):
        left = [
            rest
            for binding in left
            for rest in (around(binding, hole.port, hole.port_end) if _holds(binding, hole) else [binding])
        ]
    return left


def _holds(binding: PortBinding, part: PortBinding) -> bool:
    same_side = (binding.protocol, binding.host_ip) == (part.protocol, part.host_ip)
    if not (binding.host_port and part.host_port):
        return same_side and binding.host_port == part.host_port
    return same_side and binding.host_port - binding.port == part.host_port - part.port
