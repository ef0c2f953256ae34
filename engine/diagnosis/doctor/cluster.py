"""Checks the cluster as this host sees it: its store, leases, clocks, other hosts and overlay networks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

from drivers.linux import echo, path_lookup, process
from drivers.linux.host import interface_addresses
from drivers.linux.link import VXLAN_PORT
from engine.api import Check
from engine.cluster import encryption, peers, snapshot
from engine.cluster import membership as memberships
from engine.cluster.etcd import Client
from engine.cluster.etcd.client import reason
from engine.cluster.etcd.http import EtcdConnection
from engine.cluster.keys import MANAGER_NAME
from engine.cluster.model import MANAGER, ClusterMembership, Node
from engine.cluster.node_operations import AUTHORITY
from engine.cluster.snapshot import View
from engine.diagnosis.doctor import certificates as certificate_checks
from engine.diagnosis.doctor.checks import Examined, fault, not_compared, ok, warning
from engine.diagnosis.doctor.firewalls import described
from engine.diagnosis.trace import rules
from engine.diagnosis.trace.chains import Decision
from engine.errors import EngineError
from engine.events import repair as repairs
from engine.host import Host
from engine.render.version import version_text
from engine.swarm import certificates, daemons, etcd_member
from engine.swarm import verify as swarm_verify

ANSWER_SECONDS = 1.0
SKEW_SECONDS, LARGE_SKEW_SECONDS = 5.0, 300.0
"""Seconds between this host's clock and a manager's clock above which the check reports a warning, or a fault.

Certificates tolerate a difference of ten minutes, but a difference of seconds makes logs hard to compare.
"""
DAEMONS = {"etcd": "etcd", "server": "manager's server"}


def check(examined: Examined) -> Iterator[Check]:
    """Yield the results for the cluster; nothing if this host is in no cluster."""
    host = examined.host
    try:
        membership = memberships.load(host.root)
    except EngineError as error:
        yield fault("cluster", "its record on this host cannot be read", str(error), "")
        return
    if membership is None:
        return
    yield from certificate_checks.check(host.root, membership)
    yield _own_address(membership)
    yield from _daemons(host, membership)
    view = yield from _store(host, membership)
    if view is None:
        return
    yield from _leases(membership, view)
    yield from _others(host, membership, view)
    yield from _overlays(examined, membership, view)
    yield from _tunnel_ports(examined, membership, view)
    for key, why in view.unreadable().items():
        yield warning("cluster store", f"the record {key} is left out", why, "")


def _own_address(membership: ClusterMembership) -> Check:
    address = membership.data_address
    if any(address == str(held) for _, held in interface_addresses()):
        return ok("underlay", f"this host has its address {address}")
    cause = "another program removed the address, or the host moved to another network"
    fix = f"ip address add {address}/… dev …, or leave the swarm and join again"
    return fault("underlay", f"this host no longer has its address {address}", cause, fix)


def _daemons(host: Host, membership: ClusterMembership) -> Iterator[Check]:
    """Check the processes that the agent keeps running on a manager: etcd and the manager's server."""
    for name, shown in DAEMONS.items():
        if not (membership.has_etcd if name == "etcd" else membership.is_manager):
            continue
        pid = daemons.pid_of(host.run, name)
        if not pid:
            last = daemons.last_log_line(host.run, name)
            yield fault(shown, "is not running", f"it was killed or has failed: {last}" if last else "it was killed")
        elif process.is_stopped(pid):
            yield fault(shown, "is stopped by a signal", f"the process {pid} got SIGSTOP")
        else:
            yield ok(shown, f"runs (pid {pid})")


def _store(host: Host, membership: ClusterMembership) -> Generator[Check, None, View | None]:
    """Yield the result for the cluster's store; on a manager with etcd, also the results for etcd.

    The generator returns a snapshot of the cluster's records. If the store does not answer, the generator returns this
    host's saved snapshot, or None without one.
    """
    client = memberships.open_client(host.root, membership)
    began = time.monotonic()
    try:
        view = snapshot.load(client)
        yield ok("cluster store", f"answers in {(time.monotonic() - began) * 1000:.0f} ms")
        if membership.has_etcd:
            yield from _members(client)
        return view
    except EngineError as error:
        fix = "start etcd on a majority of the managers, and let this host reach them"
        yield fault("cluster store", "does not answer", str(error), fix)
        return snapshot.saved(host.root)
    finally:
        client.close()


def _members(client: Client) -> Iterator[Check]:
    members = etcd_member.members(client)
    status = client.call("/v3/maintenance/status", {})
    names = {str(member["ID"]): str(member.get("name", "")) for member in members}
    leader = names.get(str(status.get("leader", "")), "")
    learners = [member for member in members if member.get("isLearner")]
    if not leader:
        yield fault("etcd", "has no leader", "a majority of the managers does not answer", "start the other managers")
    for member in learners:
        yield warning("etcd", f"{member.get('name') or 'a new member'} has no vote yet", "it has not all data yet", "")
    for alarm in status.get("errors", ()):
        yield fault("etcd", f"reports {alarm}", "see etcd's documentation of alarms", "etcdctl alarm disarm")
    if leader and not learners:
        size = int(status.get("dbSize", 0))
        yield ok("etcd", f"has a leader; members: {len(members)}; size: {size >> 10} KiB")


def _leases(membership: ClusterMembership, view: View) -> Iterator[Check]:
    if membership.node_id in view.alive:
        yield ok("lease", "other hosts use this host's endpoints")
    else:
        cause = "the agent does not renew it, or the cluster has removed this host"
        yield fault("lease", "this host's lease has expired: other hosts ignore its endpoints", cause)
    for node in sorted(view.nodes.values(), key=lambda n: n.hostname):
        if node.id != membership.node_id and node.id not in view.alive:
            cause = "the host is off, its agent does not run, or it does not reach the store"
            yield warning(f"node {node.hostname}", "is down: its lease has expired", cause, f"hawse node rm {node.id}")


def _others(host: Host, membership: ClusterMembership, view: View) -> Iterator[Check]:
    """Yield the results for each other host of the cluster: whether it answers a ping, its version and its clock.

    Versions are compared with the version of this host. Only the clocks of managers are compared. Hosts without a lease
    in etcd are left out.
    """
    others = _other_nodes(membership, view)
    addresses = {n.id: ip_address(n.data_address) for n in others}
    answering = echo.answering(addresses.values(), ANSWER_SECONDS) if addresses else set()
    for node in sorted(others, key=lambda n: n.hostname):
        name = f"node {node.hostname}"
        findings = [*_version(name, node), *(_clock(host, name, node) if node.role == MANAGER else ())]
        if addresses[node.id] not in answering:
            cause = "a firewall drops it, or the underlay is broken; overlay packets take the same way"
            fix = f"check the network between the hosts: ping {node.data_address}"
            findings.append(warning(name, f"does not answer a ping at {node.data_address}", cause, fix))
        yield from findings or [ok(name, f"answers at {node.data_address}")]


def _other_nodes(membership: ClusterMembership, view: View) -> list[Node]:
    """Return the nodes of all other hosts that have a lease in etcd."""
    return [n for n in view.nodes.values() if n.id != membership.node_id and n.id in view.alive]


def _version(name: str, node: Node) -> Iterator[Check]:
    if node.version and node.version != version_text():
        what = f"runs hawse {node.version}, this host {version_text()}"
        yield warning(name, what, "the hosts were not upgraded together", "install the same version on all hosts")


def _clock(host: Host, name: str, node: Node) -> Iterator[Check]:
    """Yield a finding if a manager's clock differs from this host's clock, or if the manager's server does not answer.

    The manager's time is the HTTP header Date of an answer, which has whole seconds.
    """
    url = etcd_member.url(node.address, node.enrollment_port)
    try:
        connection = EtcdConnection(url, lambda: memberships.node_context(host.root), ANSWER_SECONDS, MANAGER_NAME)
        try:
            connection.post(AUTHORITY, {})
            theirs = parsedate_to_datetime(connection.date).timestamp() if connection.date else time.time()
        finally:
            connection.close()
    except (OSError, ValueError, EngineError) as error:
        fix = f"check the network and port {node.enrollment_port} of {node.address}"
        yield fault(name, f"its manager's server does not answer at {url}", reason(error), fix)
        return
    skew = theirs - time.time()
    if abs(skew) > SKEW_SECONDS:
        what = f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
        make = fault if abs(skew) > LARGE_SKEW_SECONDS else warning
        yield make(name, what, "the hosts' clocks are not synchronised", "synchronise the clocks (NTP)")


def _overlays(examined: Examined, membership: ClusterMembership, view: View) -> Iterator[Check]:
    """Compare each overlay network that this host uses with the cluster's records; yield the results.

    The comparison covers this host's devices, tables of peers and firewall elements for the network.
    """
    host = examined.host
    for network in examined.networks:
        if not swarm_verify.spans_hosts(host, network):
            continue
        name = f"network {network.name}"
        try:
            with peers.programming(host.run):
                lines = swarm_verify.compare(host, network, membership, view)
        except EngineError as error:
            yield not_compared(name, error)
            continue
        yield from (fault(name, line, examined.cause(network)) for line in lines)
        if not lines:
            yield ok(name, "devices, peers and firewall elements are as recorded")


def _tunnel_ports(examined: Examined, membership: ClusterMembership, view: View) -> Iterator[Check]:
    """Yield a finding for each chain of another program that drops tunnel packets from or to other hosts.

    Tunnel packets are VXLAN or WireGuard packets. The finding is a fault if a rule drops them. If only the chain's
    policy drops them, the finding is a warning. A rule of the chain may still accept answers to this host's packets.
    """
    overlays = [network for network in examined.networks if swarm_verify.spans_hosts(examined.host, network)]
    ports = {encryption.port(n) for n in overlays if encryption.has_tunnels(n)}
    if not all(map(encryption.is_encrypted, overlays)):
        ports.add(VXLAN_PORT)
    own_address = ip_address(membership.data_address)
    names = {ip_address(node.data_address): node.hostname for node in _other_nodes(membership, view)}
    others = {address: path_lookup.route(address).interface for address in names} if ports else {}
    for port in sorted(ports):
        dropped: dict[Decision, list[str]] = {}
        for other, drop in rules.dropping_tunnels(own_address, others, port, strict=True):
            dropped.setdefault(drop, []).append(names[other])
        for drop, hosts in dropped.items():
            yield _tunnel_finding(drop, port, sorted(hosts))


def _tunnel_finding(drop: Decision, port: int, hosts: Sequence[str]) -> Check:
    chain, by_rule = described(drop)
    make, verb = (fault, "drops") if by_rule else (warning, "may drop")
    what = f"the chain '{chain}' {verb} tunnel packets of {repairs.brief(hosts)} (UDP port {port})"
    return make("foreign firewall", what, "another program's firewall", f"accept udp dport {port} in that chain")


def repair(examined: Examined) -> None:
    """Repair this host's cluster processes, certificates and overlay networks, if the host is in a cluster.

    - Processes of a manager that a signal (SIGSTOP) has stopped are continued.
    - An etcd member that has ended is started again. The agent does the same for a manager's server.
    - A certificate that is unreadable, not valid or late for its renewal is renewed. On a worker, the renewal is
      possible only if the etcd store answers.
    - The overlay networks are repaired, if the etcd store answers.
    """
    host = examined.host
    membership = memberships.load(host.root)
    if membership is None:
        return
    if membership.is_manager:
        _repair_manager(host, membership)
    with suppress(EngineError):
        _repair_with_store(examined)


def _repair_manager(host: Host, membership: ClusterMembership) -> None:
    for name in DAEMONS:
        pid = daemons.pid_of(host.run, name)
        if pid and process.is_stopped(pid):
            os.kill(pid, signal.SIGCONT)
    if certificate_checks.are_stale(host.root, membership):
        certificates.renew_manager(host.root, membership)
    if not membership.external:
        etcd_member.keep_running(host.run, host.root)


def _repair_with_store(examined: Examined) -> None:
    host = examined.host
    with memberships.connected(host) as (client, membership):
        if not membership.is_manager and certificate_checks.are_stale(host.root, membership):
            certificates.renew_worker(host.root, client)
        for network in examined.networks:
            if swarm_verify.spans_hosts(host, network):
                swarm_verify.repair(host, network, membership, client)
