"""Describe the chain of a firewall that decided about a packet: its name, its rule, the culprit and the remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from drivers.firewall.foreign_drops import OURS
from drivers.firewall.legacy_tables import Dropping
from drivers.firewall.packet_trace import Event, rule_text
from drivers.firewall.rule_reading import Changed, Drop
from drivers.linux.host import bridge_filter
from drivers.model import IPAddress
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.records import Place

Decision = Drop | Dropping
"""A rule or policy of nftables or of iptables-legacy that drops packets."""


def text_of(decision: Decision | Event | Changed) -> str:
    """Return the text "table TABLE chain CHAIN" for a drop or another decision.

    For iptables-legacy, the text begins with the name of the program.
    """
    program = f"{decision.program} " if isinstance(decision, Dropping) else ""
    return f"{program}table {decision.table} chain {decision.chain}"


def in_shell(table: str, chain: str) -> str:
    """Return the names of a table (with its family) and of a chain, quoted for a shell command.

    The kernel allows any characters in these names. Example: "inet a" and "b;c" give "inet a 'b;c'".
    """
    return shlex.join([*table.split(" ", 1), chain])


def rule_in(place: Place, decision: Decision | Event | Changed) -> str:
    """Return the text of the rule that made a decision, or "its policy" if the chain's policy made it.

    Returns "rule NUMBER" for a rule of iptables-legacy, and for a rule whose text cannot be read.
    """
    if isinstance(decision, Dropping):
        return f"rule {decision.number}" if decision.number else "its policy"
    if not decision.handle:
        return "its policy"
    text = place.inside(lambda: rule_text(decision.table, decision.chain, decision.handle))
    return text or f"rule {decision.handle}"


def culprit(place: Place, decision: Decision | Event | Changed, detail: str, fix: str) -> Culprit:
    """Return the culprit for the chain of another program that made a decision in the namespace ``place``."""
    what = text_of(decision)
    if place.netns_path:
        return Culprit("container-firewall", f"{what} of {place.name}", str(place), detail, fix)
    return Culprit("foreign-firewall", what, f"host, {what}", detail, fix)


def of_legacy(place: Place, rule: Dropping, version: int, *, bridged: bool) -> Culprit:
    """Return the culprit for a rule of iptables-legacy that drops the probe.

    ``bridged`` is True if the probe stays within a bridge. ``version`` is its IP version.
    """
    detail = f"it drops the probe by {rule_in(place, rule)}"
    if bridged and not rule.number and not place.netns_path:
        return br_netfilter(rule, detail, version)
    return culprit(place, rule, detail, listing(place, rule))


def br_netfilter(decision: Decision | Event, detail: str, version: int) -> Culprit:
    """Return the culprit for a chain's policy that drops packets within a bridge.

    The policy applies to these packets only because br_netfilter is on.
    """
    what = text_of(decision)
    key = br_netfilter_sysctl(version)
    said = f"{key}=1 sends packets within a bridge through the IP firewall: {what}: {detail}"
    fix = f"accept the packets in {what}, or switch it off: sysctl -w {key}=0"
    return Culprit("br-netfilter", f"sysctl {key} ({what})", f"host, {what}", said, fix)


def br_netfilter_sysctl(version: int) -> str:
    """Return the name, with dots, of the sysctl that sends packets within a bridge through the IP firewall."""
    return bridge_filter(version).replace("/", ".")


def passed(events: Iterable[tuple[Place, Event]], statements: re.Pattern[str]) -> Iterator[tuple[Place, Event, str]]:
    """Yield the events in which a rule of another program matched the packet, and ``statements`` matches the rule.

    ``statements`` is a regular expression for the rule's text. Events that dropped the packet are left out. Each result
    also has the rule's text.
    """
    for place, event in events:
        if event.handle and not event.dropped and event.table not in OURS:
            rule = rule_in(place, event)
            if statements.search(rule):
                yield place, event, rule


def listing(place: Place, rule: Dropping) -> str:
    """Return the remedy for a rule of iptables-legacy: the command that shows it."""
    command = f"{rule.program} -t {rule.table} -L {shlex.quote(rule.chain)} -n -v --line-numbers"
    return f"look at it: {place.command(command)}"


def changing(place: Place, decision: Drop | Event) -> str:
    """Return the remedy for a chain in an overlay network's namespace: the command that lists the chain's rules."""
    command = place.command(f"nft -a list chain {in_shell(decision.table, decision.chain)}")
    return f"change the rule or the policy: {command}"


def removing(place: Place, event: Event | Changed) -> str:
    """Return the remedy for a rule that changes or redirects packets, as text; ``place`` is the rule's namespace."""
    command = place.command(f"nft delete rule {in_shell(event.table, event.chain)} handle {event.handle}")
    return f"remove that rule: {command}"


def accepting(
    place: Place, decision: Drop | Event, protocol: str, addresses: set[IPAddress], ports: set[int], *, reply: bool
) -> str:
    """Return the remedy for a chain that drops packets: the command that adds a rule to accept them.

    ``addresses`` and ``ports`` are the destinations of the packets; with ``reply``, they are the sources.
    """
    return f"let the packets pass there: {inserting(place, decision, protocol, addresses, ports, reply=reply)}"


def inserting(
    place: Place, decision: Drop | Event, protocol: str, addresses: set[IPAddress], ports: set[int], *, reply: bool
) -> str:
    """Return the command of `accepting`."""
    side = ("saddr", "sport") if reply else ("daddr", "dport")
    version = next(iter(addresses)).version
    held = _any_of(str(a) for a in sorted(addresses))
    service = f"{protocol} {side[1]} {_any_of(str(p) for p in sorted(ports) if p)}"
    if protocol == "icmp":
        service = f"meta l4proto {'icmp' if version == 4 else 'ipv6-icmp'}"
    match = f"{'ip' if version == 4 else 'ip6'} {side[0]} {held} {service}"
    return place.command(f"nft insert rule {in_shell(decision.table, decision.chain)} {match} accept")


def _any_of(values: Iterable[str]) -> str:
    """Return nftables' expression for one value or for a set of values. Example: 80 and 443 give "{ 80, 443 }"."""
    known = list(values)
    return known[0] if len(known) == 1 else f"{{ {', '.join(known)} }}"


def letting_search(place: Place, decision: Drop | Event, version: int) -> str:
    """Return the remedy for a chain that drops ARP packets, or packets of neighbour discovery for IP ``version`` 6."""
    match, what = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }", "neighbour solicitations and answers"
    if version == 4:
        match, what = "arp operation { request, reply }", "ARP"
    command = f"nft insert rule {in_shell(decision.table, decision.chain)} {match} accept"
    return f"accept {what} there: {place.command(command)}"
