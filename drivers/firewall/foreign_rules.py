"""Detection of rules of other programs that drop packets of hawse's networks.

The module examines every rule. It reports rules that name an interface or an address of a network, and rules that
compare only protocols and ports. It cannot see the rules of iptables-legacy. ``hawse doctor`` uses the module.

Other commands use the faster module `drivers.firewall.foreign_drops`. That module only finds chains that drop every
packet that no rule accepts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from drivers.firewall.foreign_conditions import Rule, conditions_of, names
from drivers.firewall.foreign_drops import (
    ACCEPT,
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
CT_KEY, STATUS = 2, b"\0\0\0\2"  # the netlink attribute NFTA_CT_KEY, and its value NFT_CT_STATUS


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
    with Session(NETFILTER) as session:
        dropping = [r for chain in filtering_chains(session, HOOKS) for r in _of_table(session, chain, known, routed)]
    return list({(rule.chain.rpartition(" ")[0], *rule.networks): rule for rule in dropping}.values())


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
