"""The names of all interfaces that hawse creates, and the alias prefixes that mark an interface as hawse's own.

The kernel allows at most 15 bytes for a name.
"""

from __future__ import annotations

import re

MAX_BYTES = 15  # IFNAMSIZ without the final NUL
HOST_END_DIGITS = 7  # as in Docker's names of host ends
NETWORK_MARK, ENDPOINT_MARK = "hawse network ", "hawse endpoint "
UNFIT = re.compile(r"[\s/:\"\\*%\x00-\x1f\x7f]")


def bridge_name(network_id: str) -> str:
    """Return the generated name of a network's bridge; hawse uses this name if the user chose no name."""
    return f"br-{network_id[:12]}"


def dummy_name(kind: str, network_id: str) -> str:
    """Return the name of the dummy parent of a macvlan or ipvlan network without ``-o parent``, as in Docker.

    ``kind`` is "macvlan" or "ipvlan".
    """
    return f"d{kind[0]}-{network_id[:12]}"


def host_end_names(endpoint_id: str) -> tuple[str, ...]:
    """Return the possible names of an endpoint's host end (the veth interface on the host).

    hawse uses the first name. If another endpoint's id begins with the same digits, that name may be taken, and hawse
    uses the next name.
    """
    starts = range(0, 3 * HOST_END_DIGITS, HOST_END_DIGITS)
    return tuple(f"veth{endpoint_id[s : s + HOST_END_DIGITS]}" for s in starts)


def unfinished_name(owner_id: str) -> str:
    """Return the temporary name that a new link has until the link gets its final name and hawse's mark (its alias).

    The link is an endpoint's sub-interface in its sandbox, or a network's parent interface on the host. ``owner_id``
    is the id of this endpoint or network.
    """
    return f"hw-{owner_id[:12]}"


def fits(name: str) -> bool:
    """Return whether an interface name is short enough for the kernel."""
    return len(name.encode()) <= MAX_BYTES


def valid(name: str) -> bool:
    """Return whether the kernel and nftables accept an interface name unchanged.

    For example, a name with a double quote is refused, because hawse writes names in double quotes for nftables. A name
    with a percent sign is refused, because the kernel reads ``br%d`` as a pattern and creates a link br0.
    """
    return name not in ("", ".", "..") and UNFIT.search(name) is None


def network_mark(network_id: str) -> str:
    """Return the alias that marks a network's own link: its bridge, or the parent of its sub-interfaces."""
    return NETWORK_MARK + network_id


def endpoint_mark(endpoint_id: str) -> str:
    """Return the alias that marks an endpoint's link: a sub-interface, or the host end of a veth pair."""
    return ENDPOINT_MARK + endpoint_id


def marked_id(alias: str, mark: str) -> str:
    """Return the id in an alias that begins with `NETWORK_MARK` or `ENDPOINT_MARK`, or "" for any other alias."""
    return alias.removeprefix(mark) if alias.startswith(mark) else ""
