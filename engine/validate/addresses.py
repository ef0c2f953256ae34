"""Parse IP addresses as Go does.

Unlike Python, Go refuses a netmask, a missing prefix length, and a leading zero of the prefix length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface

from drivers.model import IPAddress, IPInterface

PREFIX = re.compile(r"(?P<address>[^/%]+)/(?P<bits>0|[1-9][0-9]{0,2})")


def parse_prefix(text: str) -> IPInterface | None:
    """Parse ``address/bits`` as Go's netip.ParsePrefix does; return None if the text has another form.

    The host bits of the address (those after the prefix) are kept.
    """
    match = PREFIX.fullmatch(text)
    if match is None:
        return None
    try:
        return ip_interface(text)
    except ValueError:
        return None


def parse_address(text: str) -> IPAddress | None:
    """Parse an IP address without a zone as Go's net.ParseIP does; return None if the text is no such address.

    As in Go, ::ffff:1.2.3.4 is an IPv4 address.
    """
    if "%" in text:
        return None
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None) or parsed


def family_name(interface: IPv4Interface | IPv6Interface) -> str:
    """Return "IPv4" or "IPv6", the IP version of an address."""
    return f"IPv{interface.version}"


def join_errors(title: str, errors: Sequence[str]) -> str:
    """Return a message with a title and the errors below it."""
    return f"{title}:\n{bullets(errors)}"


def bullets(errors: Sequence[str]) -> str:
    """Return a single error as plain text, and several errors as a list with the bullet "*"."""
    if len(errors) == 1:
        return errors[0].strip()
    return "\n".join("* " + error.replace("\n", "\n\t") for error in errors)
