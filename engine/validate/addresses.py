"""Address syntax as Go reads it, which is stricter than Python: no netmasks, no missing prefix, no leading zeros."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

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
    """Parse one address without zone (Go's net.ParseIP), None for anything else."""
    if "%" in text or "/" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def family_name(interface: IPv4Interface | IPv6Interface) -> str:
    """Name the family as messages do: IPv4 or IPv6."""
    return f"IPv{interface.version}"


def join_errors(title: str, errors: Sequence[str]) -> str:
    """Lay out several errors under a title: one plainly on the next line, several as bullets."""
    if len(errors) == 1:
        return f"{title}:\n{errors[0].strip()}"
    return "\n".join([f"{title}:", *(f"* {error.replace(chr(10), chr(10) + chr(9))}" for error in errors)])
