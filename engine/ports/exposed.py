"""Exposed ports: entries such as ``80/tcp`` and ``8000-8010/udp``, as ranges for rules and one by one for people.

Pure; knows nothing of what is published where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Span = tuple[str, int, int]
"""Protocol, first and last port."""


def exposed_ranges(entries: Iterable[str]) -> list[Span]:
    """Read entries as ranges that neither overlap nor touch, by protocol and number."""
    found: list[Span] = []
    for protocol, first, last in sorted(map(_span, entries)):
        if found and found[-1][0] == protocol and first <= found[-1][2] + 1:
            found[-1] = (protocol, found[-1][1], max(last, found[-1][2]))
        else:
            found.append((protocol, first, last))
    return found


def expand_exposed(entries: Iterable[str]) -> Iterator[str]:
    """Name every single port, as often as it is in an entry."""
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
