"""Detection of rules and chains of other programs that drop packets of hawse's networks.

``hawse doctor`` uses this module, which examines every rule:

- `find_dropping_rules` reports rules that name an interface or an address of a network, and rules that compare only
  protocols and ports.
- `find_blocking_chains` reports chains that drop packets to a UDP port of this host, such as the port of overlay
  networks.

Other commands use the faster module `drivers.firewall.foreign_drops`, which finds chains that drop all packets except
those that a rule accepts. This module cannot see the rules of iptables-legacy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from drivers.firewall.foreign_conditions import UDP, Named, Rule, conditions_of, names
from drivers.firewall.foreign_drops import (
    ACCEPT,
    DROP,
    FORWARD,
    Chain,
    filtering_chains,
    is_dropping,
    outcome,
    rules_of,
)
from drivers.linux.netlink import Session
from drivers.linux.nfnetlink import NETFILTER
from drivers.model import IPNetwork

HOOKS = (b"\0\0\0\0", FORWARD, b"\0\0\0\4")  # hooks NF_INET_PRE_ROUTING, NF_INET_FORWARD, NF_INET_POST_ROUTING
INPUT = b"\0\0\0\1"  # hook NF_INET_LOCAL_IN
CT_KEY, STATUS = 2, b"\0\0\0\2"  # NFTA_CT_KEY, NFT_CT_STATUS
LOOPBACK = "lo"


class DroppingRule(NamedTuple):
    """A rule that drops packets.

    - ``chain``: family, table and name of the rule's chain, as text
    - ``networks``: the bridges of the affected networks. The rule compares these bridges or their networks' addresses.
      The list is empty if the rule compares only protocols and ports.
    """

    chain: str
    networks: Sequence[str]


def find_dropping_rules(known: Mapping[str, Sequence[IPNetwork]], routed: Collection[str] = ()) -> list[DroppingRule]:
    """Return other programs' rules that drop packets of the networks in ``known``.

    - ``known`` maps the bridge of each network to the network's subnets.
    - ``routed`` are the bridges to which packets from other machines are routed without DNAT.

    If several rules of a table name the same networks, only one of these rules is returned. Runs in the calling
    thread's network namespace.
    """
    session = Session(NETFILTER)
    try:
        dropping = [r for chain in filtering_chains(session, HOOKS) for r in _of_table(session, chain, known, routed)]
    finally:
        session.close()
    return list({(rule.chain.rpartition(" ")[0], *rule.networks): rule for rule in dropping}.values())


def find_blocking_chains(port: int) -> dict[str, bool]:
    """Return other programs' chains that drop UDP packets to a port of this host, each with the cause.

    The result maps each chain (text of family, table and name) to one of two causes:

    - True: a rule for the port drops the packets.
    - False: the chain's policy drops the packets. The chain is omitted if a rule of its table compares the port,
      accepts all packets, or accepts packets by their addresses or interfaces.
    """
    chains = dict[str, bool]()
    session = Session(NETFILTER)
    try:
        for chain in filtering_chains(session, (INPUT,)):
            read = [(rule, conditions_of(rule)) for rule in rules_of(session, chain)]
            concerned = [(rule, named) for rule, named in read if named.protocol in (0, UDP)]
            naming = [rule for rule, named in concerned if named.port == port]
            if any(is_dropping(rule) for rule in naming):
                chains[str(chain)] = True
            elif chain.policy == DROP and not naming and not any(_may_accept(*each) for each in concerned):
                chains[str(chain)] = False
    finally:
        session.close()
    return chains


def _may_accept(rule: Rule, named: Named) -> bool:
    """Return whether a rule accepts all packets, or may accept packets because of their addresses or interfaces.

    ``named`` holds the values that the rule compares. A rule that compares addresses or interfaces may also have other
    conditions, but not for ports. Returns False for a rule with the loopback's addresses or interface, because packets
    of other hosts have neither.
    """
    if not rule or outcome(rule[-1:]) != ACCEPT:
        return False
    if LOOPBACK in (name.rstrip("\0") for name in named.interfaces) or any(a.is_loopback for a in named.addresses):
        return False
    return not named.ports and bool(named.addresses or named.interfaces or not named.other)


def _of_table(
    session: Session, chain: Chain, known: Mapping[str, Sequence[IPNetwork]], routed: Collection[str]
) -> Iterator[DroppingRule]:
    rules = rules_of(session, chain)
    translated = any(_accepts_translated(rule) for rule in rules)
    for rule in rules:
        if is_dropping(rule):
            named = conditions_of(rule)
            inward = bool(named.interfaces) and not named.received and not named.addresses
            concerned = routed if inward and translated else known
            networks = [bridge for bridge in known if bridge in concerned and names(named, bridge, known[bridge])]
            if networks or (named.ports and not (named.interfaces or named.addresses or named.other)):
                yield DroppingRule(str(chain), networks)


def _accepts_translated(rule: Rule) -> bool:
    """Return whether a rule accepts packets by their connection tracking status, such as packets after DNAT.

    firewalld has such a rule.
    """
    by_status = any(name == "ct" and data.get(CT_KEY) == STATUS for name, data in rule)
    return by_status and outcome(rule[-1:]) == ACCEPT
