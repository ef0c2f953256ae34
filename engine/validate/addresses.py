"""Address syntax as Go reads it, which is stricter than Python: no netmasks, no missing prefix, no leading zeros."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface

from drivers.api import IPAddress, IPInterface

PREFIX = re.compile(r"(?P<address>[^/%]+)/(?P<bits>0|[1-9][0-9]{0,2})")


def parse_prefix(text: str) -> IPInterface | None:
    """Parse ``address/bits`` (Go's netip.ParsePrefix); host bits are kept, None for anything else."""
    match = PREFIX.fullmatch(text)
    if match is None:
        return None
    try:
        return ip_interface(text)
    except ValueError:
        return None


def parse_address(text: str) -> IPAddress | None:
    """Parse one address without zone (Go's net.ParseIP, for which ::ffff:1.2.3.4 is IPv4), None for anything else."""
    if "%" in text:
        return None
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None) or parsed


def family_name(interface: IPv4Interface | IPv6Interface) -> str:
    """Name the family as messages do: IPv4 or IPv6."""
    return f"IPv{interface.version}"


def join_errors(title: str, errors: Sequence[str]) -> str:
    """Lay out errors under a title."""
    return f"{title}:\n{bullets(errors)}"


def bullets(errors: Sequence[str]) -> str:
    """Lay out one error plainly, several as bullets, what follows a line break indented."""
    if len(errors) == 1:
        return errors[0].strip()
    return "\n".join("* " + error.replace("\n", "\n\t") for error in errors)
