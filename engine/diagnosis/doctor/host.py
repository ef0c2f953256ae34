"""Checks the host: kernel features, programs, forwarding, br_netfilter, connection tracking, foreign firewalls."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_network

from drivers import bridge_options
from drivers.api import HealthReporter
from drivers.bridge_options import BridgeOptions
from drivers.errors import DriverError
from drivers.firewall import foreign_rules
from drivers.linux import features, netns, source_ports, sysctl
from drivers.linux.host import filters_bridged, is_forwarding
from drivers.registry import facts
from engine.api import Check
from engine.containers import lookup
from engine.diagnosis.doctor import firewalls
from engine.diagnosis.doctor.checks import Examined, fault, ok, warning
from engine.events import repair as repairs
from engine.host import network_spec
from engine.images.hostfs import means_hostfs
from engine.model import NetworkRecord
from engine.render.version import version_text
from engine.runtime import crun

OLDEST_KERNEL = (6, 3)
ALMOST_FULL_SHARE = 0.9
COUNT, LIMIT = "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max"


def check(examined: Examined) -> Iterator[Check]:
    """Yield the results for the kernel, programs, forwarding, conntrack, source ports and foreign firewalls."""
    if not examined.records.of_this_boot and examined.records.containers:
        what = "hawse's networks of the last boot are not back"
        yield fault("host", what, "the host has booted since the last command", "hawse system boot")
    yield _version()
    yield from _features(examined)
    yield from _programs(examined)
    yield from _forwarding(examined)
    yield _bridged()
    yield _tracking()
    yield from _source_ports(examined)
    yield from _overlaps(examined)
    yield from _foreign(examined)


def _version() -> Check:
    release, python = os.uname().release, ".".join(map(str, sys.version_info[:3]))
    text = f"hawse {version_text()}, Linux {release}, Python {python}"
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST_KERNEL:
        needed = ".".join(map(str, OLDEST_KERNEL))
        return warning("versions", text, f"hawse needs Linux {needed} or newer", "boot a newer kernel")
    return ok("versions", text)


def _features(examined: Examined) -> Iterator[Check]:
    drivers = {"bridge", *(network.driver for network in examined.networks)}
    needed = list(dict.fromkeys(kind for driver in sorted(drivers) for kind in facts(driver).link_kinds))
    missing = features.missing(needed)
    for feature in missing:
        if feature == features.NO_NFTABLES:
            what, cause = "neither libnftables nor nft is installed", "hawse's firewall needs one of them"
            yield fault("programs", what, cause, "apt-get install nftables")
        else:
            yield fault("kernel", f"has no {feature}", "the module is not built or not loadable", f"modprobe {feature}")
    if not missing:
        yield ok("kernel", f"has nftables, {', '.join(needed)}")


def _programs(examined: Examined) -> Iterator[Check]:
    containers = [c for c in examined.records.containers if c.kind == "process"]
    images = [c for c in containers if c.image_id or not means_hostfs(c.config.image)]
    inits = [c for c in containers if c.host.init]
    needed = [("ip", "iproute2", True), (crun.PROGRAM, "crun", bool(images)), ("tini", "tini", bool(inits))]
    missing = [(program, package) for program, package, used in needed if used and not shutil.which(program)]
    for program, package in missing:
        yield fault("programs", f"{program} is not installed", "containers need it", f"apt-get install {package}")
    if not missing:
        yield ok("programs", ", ".join(sorted(program for program, _, used in needed if used)) + " installed")


def _forwarding(examined: Examined) -> Iterator[Check]:
    """Yield the result for IPv4 forwarding, on the whole host and at its outgoing interface.

    Yields nothing if forwarding is off, a network needs forwarding, and daemon.json allows hawse to enable it. In this
    case, the comparison of the networks reports the fault.
    """
    outward = [n for n in examined.networks if n.driver == "bridge" and not n.internal]
    uplink, _ = features.uplink() if outward else ("", 0)
    if is_forwarding() and uplink and sysctl.read(sysctl.conf("ipv4", uplink, "forwarding")) == "0":
        what = f"is off for packets from {uplink}, the way out"
        cause = "another program switched it off for this interface alone"
        yield fault("forwarding", what, cause, f"sysctl net.ipv4.conf.{uplink}.forwarding=1")
    elif is_forwarding():
        yield ok("forwarding", "IPv4 packets are forwarded")
    elif not outward:
        yield ok("forwarding", "is off, and no network needs it")
    elif not examined.host.config.ip_forward:
        cause = "daemon.json forbids hawse to switch it on (ip-forward: false)"
        yield warning("forwarding", "is off: containers reach only this host", cause, "sysctl net.ipv4.ip_forward=1")


def _bridged() -> Check:
    on = [table for version, table in ((4, "iptables"), (6, "ip6tables")) if filters_bridged(version)]
    if on:
        return ok("br_netfilter", f"is on ({', '.join(on)}): packets inside a bridge pass the firewall")
    return ok("br_netfilter", "is off: packets inside a bridge pass no firewall")


def _tracking() -> Check:
    count, limit = (int(sysctl.read(path) or 0) for path in (COUNT, LIMIT))
    text = f"{count} of {limit} connections are tracked"
    fix = f"sysctl net.netfilter.nf_conntrack_max={max(2 * limit, 65536)}"
    if limit and count >= limit:
        return fault("conntrack", text, "the table is full: new connections are dropped", fix)
    if limit and count > ALMOST_FULL_SHARE * limit:
        return warning("conntrack", text, "the table is almost full", fix)
    return ok("conntrack", text if limit else "tracks nothing yet")


def _source_ports(examined: Examined) -> Iterator[Check]:
    """Yield the results on whether programs run out of source ports, on the host and in each container.

    For a container, yield a result only if almost all or all of its source ports are in use.
    """
    uses = [("source ports", source_ports.use())]
    for container in examined.records.containers:
        if container.sandbox_path and lookup.is_alive(container):
            with suppress(DriverError, OSError):
                container_use = netns.run_in_netns(container.sandbox_path, source_ports.use, container.sandbox_inode)
                uses.append((f"container {container.name}", container_use))
    for name, use in uses:
        text = f"{use.udp} UDP and {use.tcp} TCP source ports of {use.available} are in use"
        text += f" (TCP to {use.target})" if use.target else ""
        fix = "end connections there, or widen the range there: sysctl -w net.ipv4.ip_local_port_range='1024 65535'"
        if use.is_exhausted:
            yield fault(name, text, "programs there get no port for new connections", fix)
        elif max(use.udp, use.tcp) > ALMOST_FULL_SHARE * use.available:
            yield warning(name, text, "the ports are almost exhausted", fix)
        elif name == "source ports":
            yield ok(name, text)


def _overlaps(examined: Examined) -> Iterator[Check]:
    """Yield a warning if the subnet of another program's interface, such as a VPN's, overlaps with a bridge network."""
    bridged = [n for n in examined.networks if n.driver == "bridge"]
    bridges = set(examined.bridges.values())
    foreign = [pair for pair in features.foreign_subnets() if pair[0] not in bridges] if bridged else []
    pools = [(n, ip_network(p.subnet)) for n in bridged for p in n.pools if not p.unused]
    for network, subnet in pools:
        for interface, address in foreign:
            if address.version == subnet.version and address.network.overlaps(subnet):
                what = f"its subnet {subnet} overlaps with {address} on {interface}"
                cause = "packets to one of them take the route of the other"
                yield warning(f"network {network.name}", what, cause, "create the network again with another --subnet")


def _foreign(examined: Examined) -> Iterator[Check]:
    """Yield a finding for each chain and each rule of another program that drops packets of hawse's networks."""
    by_driver: dict[str, list[NetworkRecord]] = {}
    for network in examined.networks:
        by_driver.setdefault(network.driver, []).append(network)
    clauses = [text for name, networks in by_driver.items() for text in _warnings(examined, name, networks)]
    fix = "accept the networks' packets in that chain, before the rule that drops them"
    findings = [fault("foreign firewall", text, "another program's firewall", fix) for text in clauses]
    findings += _rules(examined)
    findings += firewalls.check(examined, findings)
    yield from findings or [ok("foreign firewall", "no chain of another program drops packets of hawse's networks")]


def _rules(examined: Examined) -> Iterator[Check]:
    """Yield a finding for each rule of another program that drops packets of a network or of some ports.

    The finding is a fault if the rule names a network, and a warning if it names only ports.
    """
    specs = [network_spec(network) for network in examined.networks if network.driver == "bridge"]
    known = {examined.bridges[spec.id]: [pool.subnet for pool in spec.pools] for spec in specs}
    routed = {examined.bridges[spec.id] for spec in specs if _is_routed(bridge_options.parse(spec))}
    for rule in foreign_rules.find_dropping_rules(known, routed) if known else ():
        fix = f"nft -a list chain {rule.chain}, and delete or narrow the rule"
        if rule.networks:
            shown = repairs.brief(rule.networks)
            what = f"a rule in the table of '{rule.chain}' drops packets of {shown}"
            yield fault("foreign firewall", what, "another program's firewall", fix)
        else:
            what = f"a rule in the table of '{rule.chain}' drops packets of some ports"
            yield warning("foreign firewall", what, "another program's firewall", fix)


def _is_routed(options: BridgeOptions) -> bool:
    """Return whether hawse's firewall lets other machines reach the containers' own addresses, by IPv4 or IPv6."""
    return any(options.mode(version) in ("routed", "nat-unprotected") for version in (4, 6))


def _warnings(examined: Examined, name: str, networks: Sequence[NetworkRecord]) -> Sequence[str]:
    driver = examined.host.driver(name)
    if not isinstance(driver, HealthReporter):
        return ()
    try:
        return driver.health_warnings([network_spec(network) for network in networks])
    except DriverError as error:
        return [f"cannot be read: {error}"]
