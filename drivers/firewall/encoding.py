"""Encoding of set elements into the kernel's bytes, by the types that ``ruleset.nft`` declares.

Each part of a concatenated key is padded to a multiple of four bytes. An interval has two keys: its first and its last
value. No function has side effects. A parameter ``table`` is family and name of the table that contains the set
(``inet hawse``).
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

MAIN = "inet hawse"
FILES = {MAIN: "ruleset.nft", "bridge hawse": "spoofing.nft"}
KEY, DATA, FLAGS, KEY_END = 1, 2, 3, 10  # netlink attribute numbers (kernel constants NFTA_SET_ELEM_*)
CATCH_ALL = (2).to_bytes(4)  # element flag (kernel constant NFT_SET_ELEM_CATCHALL)
VALUE, VERDICT = 1, 2  # netlink attribute numbers (kernel constants NFTA_DATA_*)
VERDICT_CODE, VERDICT_CHAIN = 1, 2  # netlink attribute numbers (kernel constants NFTA_VERDICT_*)
ACCEPT, GOTO = 1, -4  # verdict codes (kernel constants NF_ACCEPT, NFT_GOTO)
NAME_SIZE, MAC_SIZE = 16, 6  # lengths in bytes (kernel constants IFNAMSIZ, ETH_ALEN)
LIST_ITEM = 1  # netlink attribute number (kernel constant NFTA_LIST_ELEM)
KEPT = 1 << 12  # maximum number of encoded key parts in the cache
NUMBERS = {
    "tcp": IPPROTO_TCP, "udp": IPPROTO_UDP, "sctp": IPPROTO_SCTP, "icmp": IPPROTO_ICMP, "ipv6-icmp": IPPROTO_ICMPV6,
    "ipv4": 2, "ipv6": 10,
}  # fmt: skip
DECLARATION = re.compile(
    r"^\t(?:set|map) (\w+) \{ type(?:of)? ([^:;]+?)(?: : ([^;]+?))?; (flags interval; )?\}$", re.MULTILINE
)
TYPES = {"ip saddr": "ipv4_addr", "ip6 saddr": "ipv6_addr", "udp dport": "inet_service", "@th,96,24": "vxlan_id"}
"""hawse's type name for each packet field that a set in ``ruleset.nft`` declares with ``typeof``.

A set is declared with ``typeof`` if nftables has no type name for one of the set's packet fields.
"""

Ends = tuple[bytes, bytes]
"""The first and the last value of an interval, each encoded in bytes."""


class Shape(NamedTuple):
    """The types of a set's keys and values, and whether its keys are intervals.

    ``key`` and ``value`` have one type for each part of a concatenation. ``value`` is empty if the set is not a map.
    """

    key: tuple[str, ...]
    value: tuple[str, ...]
    interval: bool


class Packed(NamedTuple):
    """A set element encoded in bytes; equal elements have equal bytes.

    - ``key``: the key, or the first key of an interval; empty for the catch-all element
    - ``end``: the last key of an interval; empty in sets of single keys
    - ``value``: the value that a map gives to the key; a verdict is stored as text
    """

    key: bytes
    end: bytes = b""
    value: bytes = b""


@cache
def ruleset(table: str = MAIN) -> str:
    """Return the text of the static rules of one of hawse's tables."""
    return rules_file(FILES[table]).read_text()


def rules_file(name: str) -> Path:
    """Return the path of a file with static rules; ``name`` is one of the values of `FILES`."""
    return Path(__file__).parent / name


@cache
def shapes(table: str = MAIN) -> dict[str, Shape]:
    """Return the `Shape` (types of key and value) of each set in the table's rules file, by the set's name."""
    return {
        name: Shape(_types(key), _types(value) if value else (), bool(interval))
        for name, key, value, interval in DECLARATION.findall(ruleset(table))
    }


def _types(text: str) -> tuple[str, ...]:
    return tuple(TYPES.get(part, part) for part in text.split(" . "))


def encoded(element: Element, *, with_value: bool, table: str = MAIN) -> bytes:
    """Encode a set element, which holds texts, as the kernel expects it in the element list of a netlink message.

    With ``with_value``, the result contains the value of a map's element. The kernel needs no value to delete an
    element.
    """
    shape = shapes(table)[element.set]
    return item(packed(element, table), shape, with_value=with_value)


def packed(element: Element, table: str = MAIN) -> Packed:
    """Return one set element encoded in the kernel's byte format."""
    shape = shapes(table)[element.set]
    ends = _ends(element.key, shape.key)
    value = element.value.encode() if shape.value == ("verdict",) else b""
    if element.value and not value:
        value = _first(_ends(element.value, shape.value))
    return Packed(_first(ends), b"".join([last for _, last in ends]) if shape.interval else b"", value)


def item(entry: Packed, shape: Shape | None = None, *, with_value: bool) -> bytes:
    """Return an encoded element as an item of a netlink message's element list.

    With ``with_value``, the item contains the value of a map's element, and ``shape`` is needed.
    """
    body = nested(KEY, attribute(VALUE, entry.key)) if entry.key else attribute(FLAGS, CATCH_ALL)
    if entry.end:
        body += nested(KEY_END, attribute(VALUE, entry.end))
    if with_value and entry.value and shape is not None:
        body += nested(DATA, _data(entry.value, shape.value))
    return nested(LIST_ITEM, body)


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


def _data(value: bytes, types: tuple[str, ...]) -> bytes:
    if types != ("verdict",):
        return attribute(VALUE, value)
    chain = value.removeprefix(b"goto ") if value != b"accept" else b""
    code = attribute(VERDICT_CODE, (GOTO if chain else ACCEPT).to_bytes(4, signed=True))
    return nested(VERDICT, code, attribute(VERDICT_CHAIN, chain + b"\0") if chain else b"")


def _address(text: str) -> Ends:
    if "/" not in text:
        first, _, last = text.partition("-")
        return ip_address(first).packed, ip_address(last or first).packed
    network = ip_network(text)
    return network.network_address.packed, network.broadcast_address.packed


def _service(text: str) -> Ends:
    first, _, last = text.partition("-")
    return int(first).to_bytes(2), int(last or first).to_bytes(2)


def _single(encode: Callable[[str], bytes]) -> Callable[[str], Ends]:
    """Return the reader (see `READERS`) of a type without intervals.

    The reader encodes a text with ``encode``, and returns the bytes twice: as the first and as the last value.
    """

    def read(text: str) -> Ends:
        value = encode(text)
        return value, value

    return read


READERS: dict[str, Callable[[str], Ends]] = {
    "ipv4_addr": _address,
    "ipv6_addr": _address,
    "inet_proto": _single(lambda text: bytes([NUMBERS[text]])),
    "nf_proto": _single(lambda text: bytes([NUMBERS[text]])),
    "inet_service": _service,
    "vxlan_id": _single(lambda text: int(text).to_bytes(3)),
    "ifname": _single(lambda text: text.strip('"').encode().ljust(NAME_SIZE, b"\0")),
    "mark": _single(lambda text: int(text).to_bytes(4, sys.byteorder)),
    "ether_addr": _single(lambda text: bytes.fromhex(text.replace(":", ""))[:MAC_SIZE]),
}
