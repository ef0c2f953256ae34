"""Detection of other programs' firewall chains that drop forwarded packets.

Examples are the chain policies of Docker and ufw, and the last rule of firewalld. If such a chain drops a packet, the
packet is lost even if hawse's table accepts it. This module only reads the chains, and changes nothing.

The exact result of a table's rules depends on the packet, so this module uses an approximation. It assumes that a table
accepts a network's packets in these cases:

- a rule names the network's bridge or subnet, and is no drop rule
- a rule accepts everything

The module does not read the contents of sets. The module cannot see the tables of iptables-legacy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from drivers.firewall import spoof_guard, standby_table
from drivers.firewall.encoding import MAIN
from drivers.firewall.foreign_conditions import Rule, conditions_of, names
from drivers.linux.attributes import read, read_text, text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.linux.nfnetlink import FAMILIES, GET_CHAIN, GET_RULE, NETFILTER, NFGENMSG, RULE_CHAIN, TABLE, expressions
from drivers.model import IPNetwork

CHAIN_TABLE, CHAIN_NAME, HOOK, POLICY, KIND = 1, 3, 4, 5, 7  # netlink attribute numbers (NFTA_CHAIN_*)
HOOK_NUMBER = 1  # netlink attribute number (kernel constant NFTA_HOOK_HOOKNUM)
IMMEDIATE, VERDICT, CODE, CALLED = 2, 2, 1, 2  # NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE, _CHAIN
TARGET = 1  # netlink attribute number NFTA_TARGET_NAME, for targets of iptables rules
FORWARD, DROP, ACCEPT = b"\0\0\0\2", b"\0\0\0\0", b"\0\0\0\1"  # kernel's NF_INET_FORWARD, NF_DROP, NF_ACCEPT
JUMP, GOTO = b"\xff\xff\xff\xfd", b"\xff\xff\xff\xfc"  # kernel's NFT_JUMP, NFT_GOTO
BRIDGE, VERSIONS = FAMILIES["bridge"], {FAMILIES["ip"]: 4, FAMILIES["ip6"]: 6}
FAMILY = {FAMILIES[name]: name for name in ("inet", "ip", "ip6", "bridge")}
OURS = (MAIN, standby_table.TABLE, spoof_guard.TABLE)


class Chain(NamedTuple):
    """A base chain of the type filter in another program's table.

    ``family`` is the kernel's number of the table's family. ``policy`` is the verdict code of the chain's policy.
    """

    family: int
    table: str
    name: str
    policy: bytes

    def __str__(self) -> str:
        return f"{FAMILY[self.family]} {self.table} {self.name}"


def find_dropping_chains(known: Mapping[str, Sequence[IPNetwork]]) -> dict[str, list[str]]:
    """Return other programs' chains that drop forwarded packets, each with the bridges of the affected networks.

    ``known`` maps the bridge of each network to the network's subnets. The result maps each chain (text of family,
    table and name) to the bridges. Runs in the calling thread's network namespace.
    """
    with Session(NETFILTER) as session:
        dropping = {chain: _by_chain(session, chain) for chain in _forwarding(session) if _drops(session, chain)}
    affected = {str(chain): _affected(chain, rules, known) for chain, rules in dropping.items()}
    return {chain: losers for chain, losers in affected.items() if losers}


def _affected(
    chain: Chain, rules: Mapping[str, Collection[Rule]], known: Mapping[str, Sequence[IPNetwork]]
) -> list[str]:
    if _accepts_everything(chain, rules):
        return []
    passing = (conditions_of(rule) for listed in rules.values() for rule in listed if not is_dropping(rule))
    conditions = [named for named in passing if named.interfaces or named.addresses]
    return [
        bridge
        for bridge, subnets in known.items()
        if VERSIONS.get(chain.family) in (None, *(subnet.version for subnet in subnets))
        and not any(names(named, bridge, subnets) for named in conditions)
    ]


def _accepts_everything(base: Chain, rules: Mapping[str, Collection[Rule]]) -> bool:
    """Return whether the chain ``base`` accepts every packet, by a rule without conditions.

    Chains that ``base`` calls without conditions are examined too. ``rules`` maps each chain of the table to its rules.
    """
    pending, seen = [base.name], {base.name}
    while pending:
        for rule in rules.get(pending.pop(), ()):
            code = outcome(rule)
            if code == ACCEPT:
                return True
            if code in (JUMP, GOTO):
                called = next(read_text(_verdict(data)[CALLED]) for name, data in rule if name == "immediate")
                if called not in seen:
                    seen.add(called)
                    pending.append(called)
    return False


def _forwarding(session: Session) -> Iterator[Chain]:
    return (chain for chain in filtering_chains(session, (FORWARD,)) if chain.family != BRIDGE)


def filtering_chains(session: Session, hooks: Collection[bytes]) -> Iterator[Chain]:
    """Yield other programs' base chains of the type filter at these hooks, in all families that see IP packets.

    Each hook is the kernel's number, as four bytes in network byte order.
    """
    with kernel_errors("list", "chains"):
        listed = session.dump(GET_CHAIN, NFGENMSG.pack(0, 0, 0))
    for family, attributes in ((message[0], read(message, NFGENMSG.size)) for message in listed):
        here = read(attributes.get(HOOK, b"")).get(HOOK_NUMBER) in hooks
        if here and family in FAMILY and read_text(attributes[KIND]) == "filter":
            table, name = read_text(attributes[CHAIN_TABLE]), read_text(attributes[CHAIN_NAME])
            if f"{FAMILY[family]} {table}" not in OURS:
                yield Chain(family, table, name, attributes[POLICY])


def _drops(session: Session, chain: Chain) -> bool:
    """Return whether a chain drops the packets that none of its rules accepts.

    The chain drops such packets by its policy, or by a last rule without conditions.
    """
    if chain.policy == DROP:
        return True
    rules = rules_of(session, chain, text(RULE_CHAIN, chain.name))
    return bool(rules) and outcome(rules[-1]) == DROP


def rules_of(session: Session, chain: Chain, narrowing: bytes = b"") -> list[Rule]:
    """Return the rules of the table that contains ``chain``, each as a list of its expressions.

    ``narrowing`` holds netlink attributes that limit the result, for example to the rules of one chain.
    """
    return [_rule(attributes) for attributes in _listed(session, chain, narrowing)]


def _by_chain(session: Session, chain: Chain) -> dict[str, list[Rule]]:
    """Return the rules of the table that contains ``chain``, by the names of their chains."""
    rules: defaultdict[str, list[Rule]] = defaultdict(list)
    for attributes in _listed(session, chain):
        rules[read_text(attributes[RULE_CHAIN])].append(_rule(attributes))
    return rules


def _listed(session: Session, chain: Chain, narrowing: bytes = b"") -> list[dict[int, bytes]]:
    request = NFGENMSG.pack(chain.family, 0, 0) + text(TABLE, chain.table) + narrowing
    with kernel_errors("list rules of", str(chain)):
        return [read(message, NFGENMSG.size) for message in session.dump(GET_RULE, request)]


def _rule(attributes: dict[int, bytes]) -> Rule:
    return [(read_text(name), read(data)) for name, data in expressions(attributes)]


def is_dropping(rule: Rule) -> bool:
    """Return whether a rule drops the packets that match its conditions."""
    return bool(rule) and outcome(rule[-1:]) == DROP


def outcome(rule: Rule) -> bytes | None:
    """Return the verdict code of a rule that only has a verdict, or None for any other rule.

    A counter and a log statement are ignored. A reject statement counts as a drop.
    """
    acting = [(name, data) for name, data in rule if name not in ("counter", "log")]
    match acting:
        case [("immediate", data)]:
            return _verdict(data).get(CODE)
        case [("reject", _)]:
            return DROP
        case [("target", data)] if read_text(data[TARGET]) == "REJECT":
            return DROP
    return None


def _verdict(data: dict[int, bytes]) -> dict[int, bytes]:
    return read(read(data.get(IMMEDIATE, b"")).get(VERDICT, b""))
