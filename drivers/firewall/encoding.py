"""Elements of our sets as the kernel has them: keys and values in bytes, by the types that ``ruleset.nft`` declares.

Pure. A part of a concatenation fills whole registers of four bytes; the key of an interval is its first and its last.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP
from typing import NamedTuple

from drivers.firewall.elements import Element
from drivers.linux.attributes import attribute, nested

KEY, DATA, KEY_END = 1, 2, 10  # NFTA_SET_ELEM_*
VALUE, VERDICT = 1, 2  # NFTA_DATA_*
VERDICT_CODE, VERDICT_CHAIN = 1, 2  # NFTA_VERDICT_*
ACCEPT, GOTO = 1, -4  # NF_ACCEPT, NFT_GOTO
NAME_SIZE = 16  # IFNAMSIZ
LIST_ITEM = 1  # NFTA_LIST_ELEM
KEPT = 1 << 12  # parts of keys that are read once: of many ports, addresses and protocols are the same
NUMBERS = {
    "tcp": IPPROTO_TCP, "udp": IPPROTO_UDP, "sctp": IPPROTO_SCTP, "icmp": IPPROTO_ICMP, "ipv6-icmp": IPPROTO_ICMPV6,
    "ipv4": 2, "ipv6": 10,
}  # fmt: skip
DECLARATION = re.compile(
    r"^\t(?:set|map) (\w+) \{ type(?:of)? ([^:;]+?)(?: : ([^;]+?))?; (flags interval; )?\}$", re.MULTILINE
)
TYPES = {"ip saddr": "ipv4_addr", "ip6 saddr": "ipv6_addr", "udp dport": "inet_service", "@th,96,24": "vxlan_id"}
"""The types of what sets declare with ``typeof``, where a part of a packet has no type that nftables could name."""

Ends = tuple[bytes, bytes]
"""The first and the last value that a text stands for."""


class Shape(NamedTuple):
    """The types of a set's key and of its values, and whether its keys are intervals."""

    key: tuple[str, ...]
    value: tuple[str, ...]
    interval: bool


@cache
def ruleset() -> str:
    """The static rules."""
    return (Path(__file__).parent / "ruleset.nft").read_text()


@cache
def shapes() -> dict[str, Shape]:
    """The shape of each of our sets."""
    return {
        name: Shape(_types(key), _types(value) if value else (), bool(interval))
        for name, key, value, interval in DECLARATION.findall(ruleset())
    }


def _types(text: str) -> tuple[str, ...]:
    return tuple(TYPES.get(part, part) for part in text.split(" . "))


def encoded(element: Element, *, with_value: bool) -> bytes:
    """One element as an item of a message's list."""
    shape = shapes()[element.set]
    ends = _ends(element.key, shape.key)
    key = nested(KEY, attribute(VALUE, _first(ends)))
    if shape.interval:
        key += nested(KEY_END, attribute(VALUE, b"".join([last for _, last in ends])))
    if with_value and element.value:
        key += nested(DATA, _data(element.value, shape.value))
    return nested(LIST_ITEM, key)


def _ends(text: str, types: tuple[str, ...]) -> list[Ends]:
    if len(types) == 1:
        return [READERS[types[0]](text)]
    return [_part(kind, part) for kind, part in zip(types, text.split(" . "), strict=True)]


@lru_cache(maxsize=KEPT)
def _part(kind: str, text: str) -> Ends:
    first, last = READERS[kind](text)
    return first + bytes(-len(first) % 4), last + bytes(-len(last) % 4)


def _first(ends: list[Ends]) -> bytes:
    return b"".join([first for first, _ in ends])


def _data(text: str, types: tuple[str, ...]) -> bytes:
    if types != ("verdict",):
        return attribute(VALUE, _first(_ends(text, types)))
    chain = text.removeprefix("goto ") if text != "accept" else ""
    code = attribute(VERDICT_CODE, (GOTO if chain else ACCEPT).to_bytes(4, signed=True))
    return nested(VERDICT, code, attribute(VERDICT_CHAIN, chain.encode() + b"\0") if chain else b"")


def _address(text: str) -> Ends:
    if "/" not in text:
        packed = ip_address(text).packed
        return packed, packed
    network = ip_network(text)
    return network.network_address.packed, network.broadcast_address.packed


def _service(text: str) -> Ends:
    first, _, last = text.partition("-")
    return int(first).to_bytes(2), int(last or first).to_bytes(2)


def _vxlan_id(text: str) -> Ends:
    value = int(text).to_bytes(3)
    return value, value


def _number(text: str) -> Ends:
    value = bytes([NUMBERS[text]])
    return value, value


def _interface(text: str) -> Ends:
    value = text.strip('"').encode().ljust(NAME_SIZE, b"\0")
    return value, value


def _mark(text: str) -> Ends:
    value = int(text).to_bytes(4, sys.byteorder)
    return value, value


READERS: dict[str, Callable[[str], Ends]] = {
    "ipv4_addr": _address,
    "ipv6_addr": _address,
    "inet_proto": _number,
    "nf_proto": _number,
    "inet_service": _service,
    "vxlan_id": _vxlan_id,
    "ifname": _interface,
    "mark": _mark,
}
