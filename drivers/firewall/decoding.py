"""Decoding of set elements from the kernel's format into comparable bytes and nftables' text.

hawse compares elements as bytes (`drivers.firewall.encoding.Packed`). The text is for messages to users, and
for scripts that create a table again with its present elements. No function has side effects.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

from drivers.firewall.elements import Element, name
from drivers.firewall.encoding import (
    DATA,
    KEY,
    KEY_END,
    NUMBERS,
    VALUE,
    VERDICT,
    VERDICT_CHAIN,
    VERDICT_CODE,
    Packed,
    Shape,
)
from drivers.linux.attributes import read, read_text

VERDICTS = {0: "drop", 1: "accept", -1: "continue", -3: "jump", -4: "goto", -5: "return"}  # verdict codes NF_*, NFT_*
SIZES = {
    "ipv4_addr": 4, "ipv6_addr": 16, "inet_proto": 1, "nf_proto": 1, "inet_service": 2, "ifname": 16, "mark": 4,
    "ether_addr": 6, "vxlan_id": 3,
}  # fmt: skip
PROTOCOLS = {NUMBERS[text]: text for text in ("tcp", "udp", "sctp", "icmp", "ipv6-icmp")}
FAMILIES = {NUMBERS[text]: text for text in ("ipv4", "ipv6")}


def unpacked(listed: bytes, shape: Shape) -> Packed:
    """Return a set element as `Packed`, decoded from ``listed``, the element's bytes in the kernel's list.

    ``shape`` has the types of the set's keys and values.
    """
    attributes = read(listed)
    key = read(attributes.get(KEY, b"")).get(VALUE, b"")
    end = read(attributes.get(KEY_END, b"")).get(VALUE, key) if shape.interval else b""
    data = read(attributes.get(DATA, b""))
    return Packed(key, end, _verdict(data[VERDICT]) if VERDICT in data else data.get(VALUE, b""))


def element(set_name: str, entry: Packed, shape: Shape) -> Element:
    """Return the set element ``entry`` with its key and value as text in nftables' syntax.

    ``shape`` has the types of the set's keys and values. The key of the catch-all element is "*".
    """
    if not entry.key:
        return Element(set_name, "*")
    key = " . ".join(_between(kind, *ends) for kind, *ends in _parts(shape.key, entry.key, entry.end or entry.key))
    if shape.value == ("verdict",):
        return Element(set_name, key, entry.value.decode(errors="replace"))
    values = _parts(shape.value, entry.value, entry.value) if entry.value else ()
    return Element(set_name, key, " . ".join(_between(kind, *ends) for kind, *ends in values))


def _verdict(data: bytes) -> bytes:
    attributes = read(data)
    code = int.from_bytes(attributes[VERDICT_CODE], signed=True)
    return f"{VERDICTS.get(code, code)} {read_text(attributes.get(VERDICT_CHAIN, b''))}".strip().encode()


def _parts(types: tuple[str, ...], first: bytes, last: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield each part of a concatenated key: the part's type, its bytes in ``first``, and its bytes in ``last``.

    ``first`` and ``last`` are the two ends of an interval. In both, each part is padded to a multiple of four bytes.
    """
    at = 0
    for kind in types:
        size = SIZES[kind]
        yield kind, first[at : at + size], last[at : at + size]
        at += size + 3 & ~3


def _between(kind: str, first: bytes, last: bytes) -> str:
    if first == last:
        return WRITERS[kind](first)
    if kind in ADDRESSES:
        ranges = list(summarize_address_range(ADDRESSES[kind](first), ADDRESSES[kind](last)))
        if len(ranges) == 1:
            return str(ranges[0])
    return f"{WRITERS[kind](first)}-{WRITERS[kind](last)}"


ADDRESSES: dict[str, Callable[[bytes], IPv4Address | IPv6Address]] = {
    "ipv4_addr": IPv4Address,
    "ipv6_addr": IPv6Address,
}
WRITERS: dict[str, Callable[[bytes], str]] = {
    "ipv4_addr": lambda data: str(IPv4Address(data)),
    "ipv6_addr": lambda data: str(IPv6Address(data)),
    "inet_proto": lambda data: PROTOCOLS.get(data[0], str(data[0])),
    "nf_proto": lambda data: FAMILIES.get(data[0], str(data[0])),
    "inet_service": lambda data: str(int.from_bytes(data)),
    "vxlan_id": lambda data: str(int.from_bytes(data)),
    "ifname": lambda data: name(read_text(data)),
    "mark": lambda data: str(int.from_bytes(data, sys.byteorder)),
    "ether_addr": lambda data: data.hex(":"),
}
