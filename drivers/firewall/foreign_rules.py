"""Detection of rules and chains of other programs that drop packets of hawse's networks.

`drivers.firewall.foreign_drops` finds chains that drop all packets which no rule accepts; it is fast enough for each
command. This module examines each rule, for ``hawse doctor``. `find_dropping_rules` reports two kinds of rules: those
that name an interface or an address of a network, and those that compare only protocols and ports.
`find_blocking_chains` reports the chains that drop packets to a UDP port of this host, such as the port of overlay
networks. The module does not read the contents of sets, and cannot see the rules of iptables-legacy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from msgspec import Struct, field

from drivers.firewall.foreign_drops import ACCEPT, DROP, FORWARD, Chain, Rule, filtering_chains, outcome, rules_of
from drivers.linux.attributes import read
from drivers.linux.netlink import Session
from drivers.linux.nfnetlink import NETFILTER
from drivers.model import IPNetwork

HOOKS = (b"\0\0\0\0", FORWARD, b"\0\0\0\4")  # hooks NF_INET_PRE_ROUTING, NF_INET_FORWARD, NF_INET_POST_ROUTING
INPUT = b"\0\0\0\1"  # hook NF_INET_LOCAL_IN
OPERATION, DATA, VALUE, EQUAL = 2, 3, 1, b"\0\0\0\0"  # NFTA_CMP_OP, NFTA_CMP_DATA, NFTA_DATA_VALUE, NFT_CMP_EQ
BASE, OFFSET, NETWORK_HEADER, TRANSPORT_HEADER = 2, 3, 1, 2  # NFTA_PAYLOAD_BASE, _OFFSET; two values of the base
KEY, INTERFACES, IP_VERSION, PROTOCOL = 2, (6, 7), 15, 16
"""NFTA_META_KEY; NFT_META_IIFNAME and NFT_META_OIFNAME, NFT_META_NFPROTO, NFT_META_L4PROTO."""
PROTOCOL_FIELDS = (9, 6)  # offsets of the transport protocol in the headers of IPv4 and IPv6; one byte
UDP = 17
PORT_FIELDS, WITH_PORTS = ((0, 2), (2, 2), (0, 4)), (0, 6, UDP, 33, 132, 136)
"""Offset and size of the source port, the destination port, and both; the protocols that have them. The protocol 0
stands for a rule that compares no protocol.
"""
CT_KEY, STATUS = 2, b"\0\0\0\2"  # NFTA_CT_KEY, NFT_CT_STATUS
LOOPBACK = "lo"
MASK = 4  # attribute NFTA_BITWISE_MASK
OFFSETS = {12: 4, 16: 4, 8: 6, 24: 6}
"""IP version by the header offset of a source or destination address."""
SOURCES = (12, 8)  # those of source addresses
LENGTH = {4: 4, 6: 16}  # bytes of an address
SHORTEST = 2  # in bytes: a rule that compares one byte of an IP header does not compare an address
WITHOUT_CONDITION = ("counter", "log", "immediate", "reject", "bitwise", "cmp", "meta", "payload", "target")


class DroppingRule(NamedTuple):
    """A rule that drops packets.

    ``chain`` is family, table and name of the chain. ``networks`` are the bridges of the networks that the rule names.
    If the rule compares only protocols and ports, ``networks`` is empty.
    """

    chain: str
    networks: Sequence[str]


class Named(Struct):
    """The values with which a rule compares packets.

    ``protocol`` is the number of the transport protocol, or 0 if the rule compares none. ``port`` is the destination
    port, or 0 if the rule compares none. ``ports`` is True if the rule compares a source or destination port. ``other``
    is True if the rule has a condition that this module does not know. ``received`` is True if the rule compares the
    interface at which packets arrive, and ``sources`` if it compares the source address.
    """

    interfaces: list[str] = field(default_factory=list)
    subnets: list[IPNetwork] = field(default_factory=list)
    protocol: int = 0
    ports: bool = False
    port: int = 0
    other: bool = False
    received: bool = False
    sources: bool = False


def find_dropping_rules(known: Mapping[str, Sequence[IPNetwork]], routed: Collection[str] = ()) -> list[DroppingRule]:
    """Return other programs' rules that drop packets of the networks in ``known``.

    ``known`` maps the bridge of each network to the network's subnets. ``routed`` are the bridges whose containers get
    packets from other machines without DNAT. If several rules of a table name the same networks, only one is returned.
    Runs in the calling thread's network namespace.
    """
    session = Session(NETFILTER)
    try:
        dropping = [r for chain in filtering_chains(session, HOOKS) for r in _of_table(session, chain, known, routed)]
    finally:
        session.close()
    return list({(rule.chain.rpartition(" ")[0], *rule.networks): rule for rule in dropping}.values())


def find_blocking_chains(port: int) -> dict[str, bool]:
    """Return other programs' chains that drop UDP packets to a port of this host, each with the cause.

    The cause is True if a rule for the port drops the packets. It is False if only the chain's policy drops them.

    A chain with the cause False is omitted in these cases:

    - a rule of its table compares the port
    - a rule of its table accepts all packets
    - a rule of its table accepts packets by their addresses or interfaces
    """
    chains = dict[str, bool]()
    session = Session(NETFILTER)
    try:
        for chain in filtering_chains(session, (INPUT,)):
            rules = [rule for rule in rules_of(session, chain) if _named(rule).protocol in (0, UDP)]
            naming = [rule for rule in rules if _named(rule).port == port]
            if any(_drops(rule) for rule in naming):
                chains[str(chain)] = True
            elif chain.policy == DROP and not naming and not any(_may_accept(rule) for rule in rules):
                chains[str(chain)] = False
    finally:
        session.close()
    return chains


def _may_accept(rule: Rule) -> bool:
    """Return whether a rule accepts all packets, or all packets with certain addresses or interfaces.

    False for the addresses and the interface of the loopback, because packets of other hosts have neither.
    """
    if not rule or outcome(rule[-1:]) != ACCEPT:
        return False
    named = _named(rule)
    if LOOPBACK in (name.rstrip("\0") for name in named.interfaces) or any(s.is_loopback for s in named.subnets):
        return False
    return not named.ports and bool(named.subnets or named.interfaces or not named.other)


def _of_table(
    session: Session, chain: Chain, known: Mapping[str, Sequence[IPNetwork]], routed: Collection[str]
) -> Iterator[DroppingRule]:
    rules = rules_of(session, chain)
    translated = any(_accepts_translated(rule) for rule in rules)
    for rule in rules:
        if _drops(rule):
            named = _named(rule)
            inward = bool(named.interfaces) and not named.received and not named.subnets
            concerned = routed if inward and translated else known
            networks = [bridge for bridge in known if bridge in concerned and _names(named, bridge, known[bridge])]
            if networks or (named.ports and not (named.interfaces or named.subnets or named.other)):
                yield DroppingRule(str(chain), networks)


def _accepts_translated(rule: Rule) -> bool:
    """Return whether a rule accepts packets by their connection tracking status, such as packets after DNAT.

    firewalld has such a rule.
    """
    by_status = any(name == "ct" and data.get(CT_KEY) == STATUS for name, data in rule)
    return by_status and outcome(rule[-1:]) == ACCEPT


def _drops(rule: Rule) -> bool:
    """Return whether a rule drops the packets that match its conditions."""
    return bool(rule) and outcome(rule[-1:]) == DROP


def _names(named: Named, bridge: str, subnets: Sequence[IPNetwork]) -> bool:
    """Return whether a rule concerns the packets of a network by their addresses or interfaces.

    False for a rule against forged packets, which have a source address of the network but arrive at another interface.
    """
    if any(_is_pattern(name, bridge) for name in named.interfaces):
        return True
    by_address = any(a.version == b.version and a.overlaps(b) for a in named.subnets for b in subnets)
    return by_address and not (named.received and named.sources)


def _is_pattern(name: str, bridge: str) -> bool:
    """Return whether a compared name is the bridge's name, or a pattern that matches it (``br-*``)."""
    return bridge == name.rstrip("\0") if "\0" in name else bridge.startswith(name)


def _named(rule: Rule) -> Named:
    named, source, data, mask = Named(), "", dict[int, bytes](), b""
    for name, attributes in rule:
        if name in ("meta", "payload"):
            source, data, mask = name, attributes, b""
        elif name == "bitwise":
            mask = read(attributes.get(MASK, b"")).get(VALUE, b"")
        elif name == "cmp" and attributes.get(OPERATION) == EQUAL:
            _compare(named, source, data, mask, read(attributes.get(DATA, b"")).get(VALUE, b""))
        elif name not in WITHOUT_CONDITION or name == "cmp":
            named.other, source = True, ""
    return named


def _compare(named: Named, source: str, data: Mapping[int, bytes], mask: bytes, value: bytes) -> None:
    """Add one comparison of a rule to ``named``.

    The rule compares a field of the packet with ``value``, in the bits of ``mask``; an empty ``mask`` means all bits.
    ``source`` is the expression that loads the field, "meta" or "payload". ``data`` holds its netlink attributes.
    """
    if source == "payload":
        _compare_payload(named, _number(data, BASE), _number(data, OFFSET), mask, value)
        return
    key = _number(data, KEY) if source == "meta" else 0
    if key in INTERFACES:
        named.interfaces.append(value.decode("utf-8", "surrogateescape"))
        named.received |= key == INTERFACES[0]
    elif key == PROTOCOL:
        named.protocol = int.from_bytes(value, "big")
    elif key != IP_VERSION:
        named.other = True


def _compare_payload(named: Named, base: int, offset: int, mask: bytes, value: bytes) -> None:
    """Add the comparison of a header's field at ``offset`` to ``named``; ``base`` says which header."""
    version = OFFSETS.get(offset, 0)
    if base == NETWORK_HEADER and version and SHORTEST <= len(value) <= LENGTH[version]:
        named.subnets.append(_subnet(version, value, mask))
        named.sources |= offset in SOURCES
    elif base == NETWORK_HEADER and offset in PROTOCOL_FIELDS and len(value) == 1:
        named.protocol = value[0]
    elif base == TRANSPORT_HEADER and (offset, len(value)) in PORT_FIELDS and named.protocol in WITH_PORTS:
        named.ports = True
        named.port = int.from_bytes(value[2 - offset :], "big") or named.port
    else:
        named.other = True


def _number(data: Mapping[int, bytes], key: int) -> int:
    return int.from_bytes(data.get(key, b""), "big")


def _subnet(version: int, value: bytes, mask: bytes) -> IPNetwork:
    """Return the subnet with which a rule compares an address, from the rule's ``value`` and ``mask``.

    If the prefix length is a multiple of 8, nft compares only the bytes of the prefix. ``value`` then has only these
    bytes, and ``mask`` is empty.
    """
    bits = "".join(f"{byte:08b}" for byte in mask or b"\xff" * len(value))
    prefix = len(bits) - len(bits.lstrip("1"))
    address = int.from_bytes(value.ljust(LENGTH[version], b"\0"), "big")
    return ip_network((address.to_bytes(LENGTH[version], "big"), prefix), strict=False)
