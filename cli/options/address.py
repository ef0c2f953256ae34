"""IP and MAC addresses as Go's ``net`` package accepts them."""

from __future__ import annotations

import ipaddress
import re

_MAC_LENGTHS = (6, 8, 20)  # EUI-48, EUI-64, IP over InfiniBand
_PAIRS = re.compile(r"[0-9a-fA-F]{2}(([:-])[0-9a-fA-F]{2}(\2[0-9a-fA-F]{2})*)")
_QUADS = re.compile(r"[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4})+")


def parse_ip(text: str) -> str | None:
    """Read an address without zone; its canonical form, or None. An IPv4-mapped address is IPv4."""
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def ip_address(text: str) -> str:
    """Check a ``--dns`` value; blanks around it are allowed."""
    if (address := parse_ip(text.strip())) is None:
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return address


def mac_address(text: str) -> str:
    """Check a hardware address (``02:..``, ``02-..`` or ``02aa.bbcc.ddee``); it is kept as typed."""
    candidate = text.strip()
    if not (_PAIRS.fullmatch(candidate) or _QUADS.fullmatch(candidate)) or _octets(candidate) not in _MAC_LENGTHS:
        raise ValueError(f"{text} is not a valid mac address")
    return text


def _octets(text: str) -> int:
    return len(re.sub(r"[:.-]", "", text)) // 2


def strip_brackets(text: str) -> str:
    """Take the host out of ``host`` or ``[host]``, where a port could follow; Go's SplitHostPort and its errors."""
    address = text + ":"

    def refuse(why: str) -> ValueError:
        return ValueError(f"address {address}: {why}")

    if address.startswith("["):
        end = address.find("]")
        if end < 0:
            raise refuse("missing ']' in address")
        if end + 1 != len(address) - 1:
            raise refuse("too many colons in address" if address[end + 1] == ":" else "missing port in address")
        host, rest = address[1:end], address[1:]
    else:
        host, end, rest = text, -1, address
        if ":" in host:
            raise refuse("too many colons in address")
    if "[" in rest:
        raise refuse("unexpected '[' in address")
    if "]" in address[end + 1 :]:
        raise refuse("unexpected ']' in address")
    return host
