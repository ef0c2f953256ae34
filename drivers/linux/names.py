"""The names of all interfaces that hawse makes, and the marks in their aliases that tell them from those of others.

The kernel allows 15 bytes for a name.
"""

from __future__ import annotations

import re

MAX_BYTES = 15
HOST_END_DIGITS = 7
NETWORK_MARK, ENDPOINT_MARK = "hawse network ", "hawse endpoint "
UNFIT = re.compile(r"[\s/:\"\\*\x00-\x1f\x7f]")


def bridge_name(network_id: str) -> str:
    """The bridge of a network that chose no name."""
    return f"br-{network_id[:12]}"


def dummy_name(network_id: str) -> str:
    """The dummy parent of a macvlan or ipvlan network that named no parent."""
    return f"dm-{network_id[:12]}"


def host_end_names(endpoint_id: str) -> tuple[str, ...]:
    """The names a host end may have: the first, or a later one where two endpoint ids begin alike."""
    starts = range(0, 3 * HOST_END_DIGITS, HOST_END_DIGITS)
    return tuple(f"veth{endpoint_id[s : s + HOST_END_DIGITS]}" for s in starts)


def unfinished_name(endpoint_id: str) -> str:
    """The name that a link has in its sandbox until it bears a mark and its own name."""
    return f"hw-{endpoint_id[:12]}"


def fits(name: str) -> bool:
    """Tell whether a name is short enough for the kernel."""
    return len(name.encode()) <= MAX_BYTES


def valid(name: str) -> bool:
    """Tell whether the kernel, and nftables in quotes, take the name as it is."""
    return name not in ("", ".", "..") and UNFIT.search(name) is None


def network_mark(network_id: str) -> str:
    """The mark of a network's own link: a bridge, or the parent of sub-interfaces."""
    return NETWORK_MARK + network_id


def endpoint_mark(endpoint_id: str) -> str:
    """The mark of an endpoint's link: the host end of a veth pair, or a sub-interface in its sandbox."""
    return ENDPOINT_MARK + endpoint_id
