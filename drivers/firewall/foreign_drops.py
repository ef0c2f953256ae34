"""Detection of other programs' firewall chains that drop forwarded packets.

Examples are Docker's policy, ufw's policy and firewalld's last rule. A packet passes only if no table drops it, even if
hawse's table accepts it. This module changes nothing of other programs.

Only running the rules could show whether they accept a network's packets. As an approximation, a table is taken to
accept them if one of its rules names the network's bridge or subnet, or accepts everything. Sets are not inspected. The
tables of iptables-legacy are not visible here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from drivers.firewall import standby_table
from drivers.firewall.table import TABLE
from drivers.linux.attributes import each, read, read_text, text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.linux.nfnetlink import FAMILIES, GET_RULE, NETFILTER, NFGENMSG

GET_CHAIN = 10 << 8 | 4  # kernel's NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN
CHAIN_TABLE, CHAIN_NAME, HOOK, POLICY, KIND = 1, 3, 4, 5, 7  # kernel constants NFTA_CHAIN_*
HOOK_NUMBER = 1  # kernel constant NFTA_HOOK_HOOKNUM
RULE_TABLE, RULE_CHAIN, EXPRESSIONS = 1, 2, 4  # kernel constants NFTA_RULE_*
NAME, DATA = 1, 2  # kernel constants NFTA_EXPR_*
IMMEDIATE, VERDICT, CODE = 2, 2, 1  # NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE
COMPARED, VALUE = 3, 1  # NFTA_CMP_DATA, NFTA_DATA_VALUE
TARGET = 1  # NFTA_TARGET_NAME, for targets of iptables rules
FORWARD, DROP, ACCEPT = b"\0\0\0\2", b"\0\0\0\0", b"\0\0\0\1"  # NF_INET_FORWARD, NF_DROP, NF_ACCEPT
FAMILY = {FAMILIES["inet"]: "inet", 2: "ip", 10: "ip6"}  # kernel constants NFPROTO_*
OURS = (TABLE, standby_table.TABLE)
SHORTEST = 2
"""Minimum length in bytes of a compared value that may be the beginning of a name or address.

Rules compare single bytes for many other reasons, so shorter values are ignored.
"""

Rule = list[tuple[str, dict[int, bytes]]]
"""The expressions of a rule: the name and the attributes of each."""


class Chain(NamedTuple):
    """A base chain of another program that forwarded packets pass."""

    family: int
    table: str
    name: str
    policy: bytes

    def __str__(self) -> str:
        return f"{FAMILY[self.family]} {self.table} {self.name}"


def find_dropping_chains(known: Mapping[str, Collection[bytes]]) -> dict[str, list[str]]:
    """Return the chains that drop forwarded packets, each with the keys of ``known`` whose packets it drops.

    Chains are named as in nftables. ``known`` maps each key to the interface name and the addresses that a rule for it
    would contain. Runs in the calling thread's network namespace.
    """
    session = Session(NETFILTER)
    try:
        dropping = {chain: _rules(session, chain) for chain in _forwarding(session) if _drops(session, chain)}
    finally:
        session.close()
    affected = {str(chain): _affected(rules, known) for chain, rules in dropping.items()}
    return {chain: losers for chain, losers in affected.items() if losers}


def _affected(rules: Collection[Rule], known: Mapping[str, Collection[bytes]]) -> list[str]:
    if any(_outcome(rule) == ACCEPT for rule in rules):
        return []
    compared = {value for rule in rules for value in _compared(rule) if len(value) >= SHORTEST}
    return [one for one, words in known.items() if not any(w.startswith(v) for v in compared for w in words)]


def _forwarding(session: Session) -> Iterator[Chain]:
    with kernel_errors("list", "chains"):
        listed = session.dump(GET_CHAIN, NFGENMSG.pack(0, 0, 0))
    for family, attributes in ((message[0], read(message, NFGENMSG.size)) for message in listed):
        here = read(attributes.get(HOOK, b"")).get(HOOK_NUMBER) == FORWARD
        if here and family in FAMILY and read_text(attributes[KIND]) == "filter":
            table, name = read_text(attributes[CHAIN_TABLE]), read_text(attributes[CHAIN_NAME])
            if f"{FAMILY[family]} {table}" not in OURS:
                yield Chain(family, table, name, attributes[POLICY])


def _drops(session: Session, chain: Chain) -> bool:
    """Return whether packets at the chain's end are dropped, by its policy or by an unconditional last rule."""
    if chain.policy == DROP:
        return True
    rules = _rules(session, chain, text(RULE_CHAIN, chain.name))
    return bool(rules) and _outcome(rules[-1]) == DROP


def _rules(session: Session, chain: Chain, narrowing: bytes = b"") -> list[Rule]:
    """Return the rules of the chain's table, limited by the request attributes in ``narrowing``."""
    request = NFGENMSG.pack(chain.family, 0, 0) + text(RULE_TABLE, chain.table) + narrowing
    with kernel_errors("list rules of", str(chain)):
        return [_rule(read(message, NFGENMSG.size)) for message in session.dump(GET_RULE, request)]
    return []


def _rule(attributes: dict[int, bytes]) -> Rule:
    parts = (read(part) for _, part in each(attributes.get(EXPRESSIONS, b"")))
    return [(read_text(part[NAME]), read(part.get(DATA, b""))) for part in parts]


def _outcome(rule: Rule) -> bytes | None:
    """Return the verdict code of an unconditional rule, or None if the verdict depends on the packet."""
    acting = [(name, data) for name, data in rule if name not in ("counter", "log")]
    match acting:
        case [("immediate", data)]:
            return read(read(data.get(IMMEDIATE, b"")).get(VERDICT, b"")).get(CODE)
        case [("reject", _)]:
            return DROP
        case [("target", data)] if read_text(data[TARGET]) == "REJECT":
            return DROP
    return None


def _compared(rule: Rule) -> list[bytes]:
    """Return the values that a rule compares with packet data: names and addresses, or their beginnings."""
    values = (read(data.get(COMPARED, b"")).get(VALUE, b"") for name, data in rule if name == "cmp")
    return [value.rstrip(b"\0") for value in values]
