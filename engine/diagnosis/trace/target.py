"""The TARGET argument of a trace: ``web:80``, ``10.0.0.3:53/udp``, ``[fd00::3]:80``, ``published:8080``, or a URL.

An adopted namespace is named as in other commands: ``netns:lab:80``, ``pid:7:80``.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from drivers.model import IPAddress
from engine.errors import InvalidArgument

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ssh": 22, "dns": 53, "redis": 6379, "ldap": 389,
         "postgres": 5432, "postgresql": 5432, "mysql": 3306, "amqp": 5672, "mqtt": 1883, "mongodb": 27017}  # fmt: skip
BROADCAST = ip_address("255.255.255.255")
PROTOCOLS = ("tcp", "udp", "icmp")
HOST = r"netns:[^:\[\]]+|pid:\d+|[^:/\[\]]+"
FORM = re.compile(rf"(?:\[(?P<v6>[^\]]+)\]|(?P<host>{HOST}))(?::(?P<port>\d{{1,5}}))?(?:/(?P<protocol>[a-zA-Z]+))?")


class Target(Struct, frozen=True):
    """A parsed TARGET. Exactly one of ``name``, ``address`` and ``published`` is given. Port 0 means ICMP.

    ``text`` is the TARGET as the user typed it. ``published`` is True for ``published:PORT``.
    """

    text: str
    port: int
    protocol: str
    name: str = ""
    address: IPAddress | None = None
    published: bool = False


def parse(text: str) -> Target:
    """Parse a TARGET; raises `InvalidArgument` if the text has none of its forms."""
    if "://" in text:
        return _url(text)
    bare = _address(text)
    if bare is not None:
        return Target(text, 0, "icmp", address=bare)
    match = FORM.fullmatch(text)
    if match is None:
        raise _wrong(text)
    host, port = match["v6"] or match["host"], int(match["port"] or 0)
    if match["host"] == "published":
        return _published(text, port, match["protocol"])
    protocol = (match["protocol"] or ("tcp" if port else "icmp")).lower()
    if protocol not in PROTOCOLS or (protocol == "icmp") != (match["port"] is None):
        raise _wrong(text)
    if match["port"] is not None and not 0 < port < 65536:
        raise _wrong(text)
    address = _address(host)
    if match["v6"] and address is None:
        raise _wrong(text)
    return Target(text, port, protocol, "" if address else host, address)


def _published(text: str, port: int, protocol: str | None) -> Target:
    chosen = (protocol or "tcp").lower()
    if chosen not in ("tcp", "udp") or not 0 < port < 65536:
        raise _wrong(text)
    return Target(text, port, chosen, published=True)


def _url(text: str) -> Target:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _wrong(text) from None
    if not host or not port:
        raise _wrong(text)
    address = _address(host)
    return Target(text, port, "udp" if parts.scheme == "dns" else "tcp", "" if address else host, address)


def _address(text: str) -> IPAddress | None:
    """Return the address in a text, or None if the text is no address.

    The unspecified address (0.0.0.0 or ::) becomes the loopback address, as in the kernel. Raises `InvalidArgument` for
    a multicast, broadcast or IPv6 link-local address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if address.is_unspecified:
        return ip_address("127.0.0.1" if address.version == 4 else "::1")
    if address.is_multicast or address == BROADCAST:
        raise InvalidArgument(f"invalid target: {text} (it is the address of many machines; use that of one)")
    if address.version == 6 and address.is_link_local:
        raise InvalidArgument(
            f"invalid target: {text} (a link-local address needs an interface; use another address of that machine)"
        )
    return address


def _wrong(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"invalid target: {text} (use NAME[:PORT[/udp]], ADDRESS:PORT, [IPV6]:PORT, published:PORT or a URL)"
    )
