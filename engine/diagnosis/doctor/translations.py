"""Find rules of other programs that keep hawse's firewall from translating addresses.

Such a rule redirects the packets of a published port to another destination, or exempts packets from connection
tracking. The kernel translates only tracked packets. This module evaluates the rules for a few packets of each network,
and sends no packet. Each packet has a name for the texts of findings, such as a published port or the network's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import TypeVar

from drivers import bridge_options
from drivers.firewall import legacy_rules
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import DNAT_PRIORITY, TRANSLATIONS, UNTRACKED, Changed, Tables, find_statements
from drivers.linux import path_lookup
from engine.api import Check
from engine.diagnosis.doctor.checks import fault, warning
from engine.diagnosis.doctor.paths import Joined
from engine.diagnosis.trace.chains import in_shell
from engine.events import repair as repairs
from engine.host import network_spec

PORTS_LIMIT = 64  # maximum number of published ports of one network to examine
CAUSE = "another program's firewall"
Step = tuple[str, Packet]
"""A hook, and the packet at this hook."""
Rule = TypeVar("Rule")


def check(networks: Sequence[Sequence[Joined]], tables: Tables) -> Iterator[Check]:
    """Yield a finding for each rule of another program that keeps hawse from translating addresses.

    Each item of ``networks`` has the endpoints of one bridge network. ``tables`` are the nftables tables of other
    programs. This function itself reads the rules of iptables-legacy.
    """
    published: dict[Step, str] = {}
    outward: dict[Step, str] = {}
    for members in networks:
        if not members[0].network.internal:
            published |= _to_ports(members)
            outward |= _outward(members)
    yield from _redirected(published, tables)
    yield from _redirected_by_legacy(published)
    yield from _untracked({**outward, **published}, tables)


def _to_ports(members: Sequence[Joined]) -> dict[Step, str]:
    """Return packets to a network's published ports, each with its name; ``members`` are the network's endpoints.

    A published port has up to two packets:

    - one from this host, at the hook "output"
    - one from outside, at the hook "prerouting", unless the port is published on a loopback address

    Only the first `PORTS_LIMIT` ports are examined; a port range counts as its first port. Ports that hawse does not
    translate (no NAT for the IP version) are left out.
    """
    names: dict[Step, str] = {}
    bindings = [(member, port) for member in members for port in member.endpoint.ports if port.host_port]
    for member, port in bindings[:PORTS_LIMIT]:
        host_ip = ip_address(port.host_ip)
        route = path_lookup.route(path_lookup.anywhere(host_ip.version))
        target = route.source if host_ip.is_unspecified else host_ip
        mode = bridge_options.parse(network_spec(member.network)).mode(host_ip.version)
        if target is not None and mode.startswith("nat"):
            packet = Packet(port.protocol, None, target, port.host_port)
            name = f"the published port {port.host_port}/{port.protocol} of {member.container.name}"
            names["output", packet.at("", "lo")] = name
            if not host_ip.is_loopback:
                names["prerouting", packet.at(route.interface)] = name
    return names


def _outward(members: Sequence[Joined]) -> dict[Step, str]:
    """Return packets from a network to the outside, each with the network's name.

    There is one packet for each IP version that the network masquerades. ``members`` are the network's endpoints.
    """
    first = members[0]
    options = bridge_options.parse(network_spec(first.network))
    addresses = {a.version: a for member in members for a in member.addresses}
    return {
        ("prerouting", Packet("tcp", address, path_lookup.anywhere(version), 0).at(options.bridge)): first.network.name
        for version, address in addresses.items()
        if options.masquerades(version)
    }


def _redirected(published: dict[Step, str], tables: Tables) -> Iterator[Check]:
    for rule, names in _grouped(published, find_statements(tables, published, TRANSLATIONS)).items():
        what = f"a rule of the chain '{rule.table} {rule.chain}' sends packets to {repairs.brief(names)} elsewhere"
        # Of two chains with the same priority, the kernel runs the newer chain first. The kernel shows the order in
        # which tables were created, but not the order of chains. Even a table that is older than hawse's table may have
        # a chain that is newer than hawse's chain. The finding is then only a warning.
        make = fault if rule.precedes_dnat else warning
        if rule.priority <= DNAT_PRIORITY:
            yield make("foreign firewall", what, CAUSE, f"delete the rule: {_listing(rule)}")


def _redirected_by_legacy(published: dict[Step, str]) -> Iterator[Check]:
    for rule, names in _grouped(published, legacy_rules.find_translations(published)).items():
        what = f"a rule of the chain '{rule.program} {rule.table} {rule.chain}' sends packets to "
        what += f"{repairs.brief(names)} elsewhere, or comes after hawse's"
        fix = f"delete the rule: {rule.program} -t {rule.table} -L {rule.chain} -n --line-numbers"
        yield warning("foreign firewall", what, CAUSE, fix)


def _untracked(steps: dict[Step, str], tables: Tables) -> Iterator[Check]:
    for rule, names in _grouped(steps, find_statements(tables, steps, UNTRACKED)).items():
        what = f"a rule of the chain '{rule.table} {rule.chain}' exempts packets of {repairs.brief(names)} from "
        what += "connection tracking, so hawse does not translate their addresses"
        yield fault("foreign firewall", what, CAUSE, f"delete or narrow the rule: {_listing(rule)}")


def _grouped(steps: dict[Step, str], changes: Iterable[tuple[Packet, Rule]]) -> dict[Rule, list[str]]:
    """Return, for each rule, the names of the packets that the rule changes, without duplicates.

    ``changes`` are pairs of a packet and a rule that changes the packet.
    """
    by_packet = {packet: name for (_, packet), name in steps.items()}
    by_rule: dict[Rule, dict[str, None]] = {}
    for packet, rule in changes:
        by_rule.setdefault(rule, {})[by_packet[packet]] = None
    return {rule: list(names) for rule, names in by_rule.items()}


def _listing(rule: Changed) -> str:
    return f"nft -a list chain {in_shell(rule.table, rule.chain)}"
