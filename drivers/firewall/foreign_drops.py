"""Other programs' firewalls, as far as they drop what is forwarded: Docker's policy, ufw's, firewalld's last rule.

A packet passes only if no table drops it: what such a chain does not let through is lost, whatever our table says.
Nothing of theirs is changed. Whether their rules accept a network's packets could be told by running them only; a table
with a rule that names the network's bridge or subnet, or that accepts everything, counts as one that does. Sets are not
looked into, and the tables of iptables-legacy are not seen.
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

GET_CHAIN = 10 << 8 | 4  # NFNL_SUBSYS_NFTABLES with NFT_MSG_GETCHAIN
CHAIN_TABLE, CHAIN_NAME, HOOK, POLICY, KIND = 1, 3, 4, 5, 7  # NFTA_CHAIN_*
HOOK_NUMBER = 1  # NFTA_HOOK_HOOKNUM
RULE_TABLE, RULE_CHAIN, EXPRESSIONS = 1, 2, 4  # NFTA_RULE_*
NAME, DATA = 1, 2  # NFTA_EXPR_*
IMMEDIATE, VERDICT, CODE = 2, 2, 1  # NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE
COMPARED, VALUE = 3, 1  # NFTA_CMP_DATA, NFTA_DATA_VALUE
TARGET = 1  # NFTA_TARGET_NAME, of iptables' own targets
FORWARD, DROP, ACCEPT = b"\0\0\0\2", b"\0\0\0\0", b"\0\0\0\1"  # NF_INET_FORWARD, NF_DROP, NF_ACCEPT
FAMILY = {FAMILIES["inet"]: "inet", 2: "ip", 10: "ip6"}  # NFPROTO_*
OURS = (TABLE, standby_table.TABLE)
SHORTEST = 2
"""Bytes of a value compared with that may be the beginning of a name or address; one is compared for any reason."""

Rule = list[tuple[str, dict[int, bytes]]]
"""Expressions: what each is called, and its attributes."""


class Chain(NamedTuple):
    """A base chain that forwarded packets go through."""

    family: int
    table: str
    name: str
    policy: bytes

    def __str__(self) -> str:
        return f"{FAMILY[self.family]} {self.table} {self.name}"


def find_dropping_chains(known: Mapping[str, Collection[bytes]]) -> dict[str, list[str]]:
    """The chains that drop forwarded packets, as nftables names them, each with whose packets it drops.

    ``known`` has the name and the addresses by which a rule would know each. Acts in the calling thread's namespace.
    """
    session = Session(NETFILTER)
    try:
        dropping = {chain: _rules(session, chain) for chain in _forwarding(session) if _drops(session, chain)}
    finally:
        session.close()
    found = {str(chain): _affected(rules, known) for chain, rules in dropping.items()}
    return {chain: losers for chain, losers in found.items() if losers}


def _affected(rules: Collection[Rule], known: Mapping[str, Collection[bytes]]) -> list[str]:
    if any(_outcome(rule) == ACCEPT for rule in rules):
        return []
    compared = {value for rule in rules for value in _compared(rule) if len(value) >= SHORTEST}
    return [one for one, words in known.items() if not any(w.startswith(v) for v in compared for w in words)]


def _forwarding(session: Session) -> Iterator[Chain]:
    with kernel_errors("list", "chains"):
        listed = session.dump(GET_CHAIN, NFGENMSG.pack(0, 0, 0))
    for family, given in ((message[0], read(message, NFGENMSG.size)) for message in listed):
        here = read(given.get(HOOK, b"")).get(HOOK_NUMBER) == FORWARD
        if here and family in FAMILY and read_text(given[KIND]) == "filter":
            table, name = read_text(given[CHAIN_TABLE]), read_text(given[CHAIN_NAME])
            if f"{FAMILY[family]} {table}" not in OURS:
                yield Chain(family, table, name, given[POLICY])


def _drops(session: Session, chain: Chain) -> bool:
    """Whether what comes to the chain's end is dropped, by its policy or by a last rule without conditions."""
    if chain.policy == DROP:
        return True
    rules = _rules(session, chain, text(RULE_CHAIN, chain.name))
    return bool(rules) and _outcome(rules[-1]) == DROP


def _rules(session: Session, chain: Chain, narrowing: bytes = b"") -> list[Rule]:
    """The rules of the chain's table, or those that ``narrowing`` leaves."""
    wanted = NFGENMSG.pack(chain.family, 0, 0) + text(RULE_TABLE, chain.table) + narrowing
    with kernel_errors("list rules of", str(chain)):
        return [_rule(read(message, NFGENMSG.size)) for message in session.dump(GET_RULE, wanted)]
    return []


def _rule(given: dict[int, bytes]) -> Rule:
    parts = (read(part) for _, part in each(given.get(EXPRESSIONS, b"")))
    return [(read_text(part[NAME]), read(part.get(DATA, b""))) for part in parts]


def _outcome(rule: Rule) -> bytes | None:
    """What becomes of every packet that comes to a rule, None where that depends on the packet."""
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
    """What a rule compares parts of a packet with: whole names and addresses, or how they begin."""
    values = (read(data.get(COMPARED, b"")).get(VALUE, b"") for name, data in rule if name == "cmp")
    return [value.rstrip(b"\0") for value in values]
