"""Read the conditions of other programs' firewall rules, in netlink form, as far as hawse needs them.

The module reads comparisons of interfaces, addresses, transport protocols and ports. It reads the comparison "equal" of
all these values. It reads the comparison "not equal" only of the interface where packets arrive. It does not read the
contents of sets and ranges.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from drivers.linux.attributes import read
from drivers.model import IPNetwork

OPERATION, DATA, VALUE = 2, 3, 1  # NFTA_CMP_OP, NFTA_CMP_DATA, NFTA_DATA_VALUE
EQUAL, UNEQUAL = b"\0\0\0\0", b"\0\0\0\1"  # NFT_CMP_EQ, NFT_CMP_NEQ
BASE, OFFSET, NETWORK_HEADER, TRANSPORT_HEADER = 2, 3, 1, 2  # NFTA_PAYLOAD_BASE, _OFFSET; NFT_PAYLOAD_*_HEADER
KEY, IP_VERSION, PROTOCOL = 2, 15, 16  # NFTA_META_KEY; NFT_META_NFPROTO, NFT_META_L4PROTO
RECEIVED, SENT, BY_INDEX = (4, 6), (5, 7), (4, 5)
"""NFT_META_IIF and NFT_META_IIFNAME; NFT_META_OIF and NFT_META_OIFNAME; those that compare the interface's index."""
PROTOCOL_FIELDS = (9, 6)  # offsets of the transport protocol in the headers of IPv4 and IPv6; one byte
PORT_FIELDS, WITH_PORTS = ((0, 2), (2, 2), (0, 4)), (0, 6, 17, 33, 132, 136)
"""Offset and size of the source port, the destination port, and both; the protocols that have them. The protocol 0
stands for a rule that compares no protocol.
"""
MASK = 4  # attribute NFTA_BITWISE_MASK
OFFSETS = {12: 4, 16: 4, 8: 6, 24: 6}
"""IP version by the header offset of a source or destination address."""
SOURCES = (12, 8)  # header offsets of source addresses
LENGTH = {4: 4, 6: 16}  # bytes of an address
TTL = (8, 1)
"""Offset and size of the TTL in an IPv4 header. A rule for an IPv6 source such as ``fd00::/8`` compares the same place.
Because rules for the TTL are more frequent, this place is no address.
"""
WITHOUT_CONDITION = ("counter", "log", "immediate", "reject", "bitwise", "meta", "payload", "target")

Rule = list[tuple[str, dict[int, bytes]]]
"""A rule as a list of its expressions: the name and the attributes of each expression."""


class Compared(NamedTuple):
    """An address with which a rule compares packets.

    ``version`` is the IP version. The rule compares only those bits of ``address`` that are set in ``mask``, usually
    those of a prefix. Because a host may have thousands of rules, the values are numbers: `ipaddress` is slower.
    """

    version: int
    address: int
    mask: int


class Named(Struct):
    """The values with which a rule of another program compares packets.

    - ``interfaces``: names or patterns of interfaces
    - ``excluded``: names or patterns of interfaces at which the packets do not arrive
    - ``sources``: source addresses
    - ``destinations``: destination addresses
    - ``protocol``: the number of the transport protocol, or 0 if the rule compares none
    - ``ports``: whether the rule compares a source or destination port
    - ``other``: whether the rule has a condition that this module does not know
    - ``received``: whether the rule compares the interface at which packets arrive
    """

    interfaces: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    sources: list[Compared] = field(default_factory=list)
    destinations: list[Compared] = field(default_factory=list)
    protocol: int = 0
    ports: bool = False
    other: bool = False
    received: bool = False

    @property
    def addresses(self) -> Sequence[Compared]:
        """The source and destination addresses."""
        return self.sources + self.destinations


def names(named: Named, bridge: str, subnets: Sequence[IPNetwork]) -> bool:
    """Return whether a rule concerns the packets of a network, because it names the network's bridge or addresses.

    ``named`` holds the values that the rule compares. ``bridge`` and ``subnets`` belong to the network.

    Forged packets have a source address of the network, but arrive at another interface. For a rule that matches only
    such packets, the result is False.
    """
    if any(_is_pattern(name, bridge) for name in named.interfaces):
        return True
    elsewhere = named.received or any(_is_pattern(name, bridge) for name in named.excluded)
    compared = named.destinations if elsewhere else named.addresses
    return any(_overlaps(address, subnet) for address in compared for subnet in subnets)


def _overlaps(compared: Compared, subnet: IPNetwork) -> bool:
    """Return whether some address of the subnet matches the comparison, which compares only the bits of its mask."""
    if compared.version != subnet.version:
        return False
    return not (compared.address ^ int(subnet.network_address)) & compared.mask & int(subnet.netmask)


def _is_pattern(name: str, bridge: str) -> bool:
    """Return whether a compared name is the bridge's name, or a pattern that matches it (``br-*``)."""
    return bridge == name.rstrip("\0") if "\0" in name else bridge.startswith(name)


def conditions_of(rule: Rule) -> Named:
    """Return the values with which a rule compares packets, read from the rule's expressions."""
    named, source, data, mask = Named(), "", dict[int, bytes](), b""
    for name, attributes in rule:
        if name in ("meta", "payload"):
            source, data, mask = name, attributes, b""
        elif name == "bitwise":
            mask = read(attributes.get(MASK, b"")).get(VALUE, b"")
        elif name == "cmp":
            _compare(named, source, data, mask, attributes)
        elif name not in WITHOUT_CONDITION:
            named.other, source = True, ""
    return named


def _compare(
    named: Named, source: str, data: Mapping[int, bytes], mask: bytes, comparison: Mapping[int, bytes]
) -> None:
    """Add one comparison of a rule to ``named``, the values with which the rule compares packets.

    - ``source``: the expression that loads a field of the packet, "meta" or "payload"
    - ``data``: the netlink attributes of this expression
    - ``mask``: the bits of the field that are compared; empty for all bits
    - ``comparison``: the netlink attributes of the expression that compares the field
    """
    operation, value = comparison.get(OPERATION), read(comparison.get(DATA, b"")).get(VALUE, b"")
    key = _number(data, KEY) if source == "meta" else 0
    if operation != EQUAL:
        named.other = True
        if operation == UNEQUAL and key in RECEIVED:
            named.excluded.append(_interface(key, value))
    elif source == "payload":
        _compare_payload(named, _number(data, BASE), _number(data, OFFSET), mask, value)
    elif key in RECEIVED + SENT:
        named.interfaces.append(_interface(key, value))
        named.received |= key in RECEIVED
    elif key == PROTOCOL:
        named.protocol = int.from_bytes(value, "big")
    elif key != IP_VERSION:
        named.other = True


def _compare_payload(named: Named, base: int, offset: int, mask: bytes, value: bytes) -> None:
    """Add to ``named`` that a rule compares a field of a header with ``value``.

    - ``base``: the kernel's number of the header
    - ``offset``: the byte of the header at which the field begins
    - ``mask``: the bits that are compared; empty for all bits
    """
    version = OFFSETS.get(offset, 0)
    if base == NETWORK_HEADER and version and len(value) <= LENGTH[version] and (offset, len(value)) != TTL:
        addresses = named.sources if offset in SOURCES else named.destinations
        addresses.append(_address(version, value, mask))
    elif base == NETWORK_HEADER and offset in PROTOCOL_FIELDS and len(value) == 1:
        named.protocol = value[0]
    elif base == TRANSPORT_HEADER and (offset, len(value)) in PORT_FIELDS and named.protocol in WITH_PORTS:
        named.ports = True
    else:
        named.other = True


def _number(data: Mapping[int, bytes], key: int) -> int:
    return int.from_bytes(data.get(key, b""), "big")


def _interface(key: int, value: bytes) -> str:
    """Return the name or pattern of the interface that a rule compares; a whole name ends with a NUL character.

    ``key`` is the kernel's number of the compared field: the name or the index of an interface. ``value`` is the value
    in the rule. For the index of a missing interface, the result is a name that no interface has. Indices are those of
    the calling thread's network namespace.
    """
    if key in BY_INDEX:
        try:
            return socket.if_indextoname(int.from_bytes(value, sys.byteorder)) + "\0"
        except OSError:
            return "\0"
    return value.decode("utf-8", "surrogateescape")


def _address(version: int, value: bytes, mask: bytes) -> Compared:
    """Return the address of IP version 4 or 6 with which a rule compares packets, from its ``value`` and ``mask``.

    If the prefix length is a multiple of 8, nft compares only the bytes of the prefix. ``value`` then has only these
    bytes, and ``mask`` is empty.
    """
    missing = 8 * (LENGTH[version] - len(value))  # bits
    bits = int.from_bytes(mask, "big") if mask else (1 << 8 * len(value)) - 1
    return Compared(version, int.from_bytes(value, "big") << missing, bits << missing)
