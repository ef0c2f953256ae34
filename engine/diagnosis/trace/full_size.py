"""Test with pings whether full-size packets reach a machine beyond this host, whose path no check of this host sees."""

from __future__ import annotations

from functools import partial

from drivers.api import DriverError
from drivers.linux import echo, path_lookup
from drivers.linux.features import mtu_of
from engine.diagnosis.trace.destination import Way
from engine.diagnosis.trace.model import Culprit

PING_SECONDS = 0.4
LARGEST = 65535  # bytes of an IP packet
HEADERS = {4: 28, 6: 48}  # bytes of the IP and ICMP headers, by IP version


def lost(way: Way, place: str) -> Culprit | None:
    """Return a culprit if the target answers a small ping and no full-size ping; ``place`` names the path.

    Blocks up to two times `PING_SECONDS`.
    """
    try:
        mtu, small, full = way.source.inside(partial(_pings, way))
    except (DriverError, OSError):
        return None
    if full or not small:
        return None
    detail = f"{way.address} answers small pings, and no ping of {mtu} bytes, which is the MTU of {way.source}"
    fix = "find the hop with the smaller MTU, and raise it, or let its ICMP errors pass; or lower the network's MTU"
    return Culprit("mtu", f"path to {way.address}", place, detail, fix)


def _pings(way: Way) -> tuple[int, bool, bool]:
    """Return the MTU of the source's interface, and whether a small and a full-size ping are answered."""
    found = path_lookup.route(way.address)
    mtu = mtu_of(found.interface) if found.kind == "unicast" else 0
    room = min(mtu, LARGEST) - HEADERS[way.address.version]
    full = room <= 0 or bool(echo.answering([way.address], PING_SECONDS, room))
    return mtu, not full and bool(echo.answering([way.address], PING_SECONDS)), full
