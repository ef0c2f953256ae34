"""Parse CIDRs, MAC addresses and the values of ``--dns`` in the forms that Go's ``net`` package accepts."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from engine.validate.addresses import parse_address

_MAC_LENGTHS = (6, 8, 20)  # address lengths in bytes: EUI-48, EUI-64, IP over InfiniBand
_PAIRS = re.compile(r"[0-9a-fA-F]{2}(([:-])[0-9a-fA-F]{2}(\2[0-9a-fA-F]{2})*)")
_QUADS = re.compile(r"[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4})+")
_PREFIX = re.compile("[0-9]{1,3}")
_MAPPED_BITS = 96  # number of bits before the IPv4 address in an IPv4-mapped IPv6 address


def parse_cidr(text: str) -> IPv4Interface | IPv6Interface:
    """Parse a CIDR as Go's net.ParseCIDR does; return the address with its network.

    Raises ValueError with Go's error text.
    """
    host, _, prefix = text.partition("/")
    address = parse_address(host)
    bits = int(prefix) if _PREFIX.fullmatch(prefix) else -1
    if address is not None and address.version == 4 and ":" in host:
        bits -= _MAPPED_BITS
    if address is None or not 0 <= bits <= address.max_prefixlen:
        raise ValueError(f"invalid CIDR address: {text}")
    return ip_interface(f"{address}/{bits}")


def ip_address(text: str) -> str:
    """Check a ``--dns`` value and return the address in canonical form; raises ValueError.

    Spaces around the address are allowed.
    """
    if (address := parse_address(text.strip())) is None:
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return str(address)


def mac_address(text: str) -> str:
    """Check a MAC address and return it as the user typed it; raises ValueError.

    The accepted forms are ``02:..``, ``02-..`` and ``02aa.bbcc.ddee``.
    """
    candidate = text.strip()
    if not (_PAIRS.fullmatch(candidate) or _QUADS.fullmatch(candidate)) or _octets(candidate) not in _MAC_LENGTHS:
        raise ValueError(f"{text} is not a valid mac address")
    return text


def _octets(text: str) -> int:
    return len(re.sub(r"[:.-]", "", text)) // 2


def strip_brackets(text: str) -> str:
    """Return a host without the brackets around it, such as ``::1`` for ``[::1]``.

    A host without brackets is returned unchanged. Raises ValueError with the error text of Go's SplitHostPort if
    ``text`` has a colon outside of brackets, or if the brackets are wrong.
    """
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
