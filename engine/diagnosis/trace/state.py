"""Compare the kernel with the records for the networks and endpoints on a path.

Each difference that stops packets is converted to a culprit (`Culprit`): the cause, its place and the remedy. The
agent, hawse's background process, uses the same comparisons for its repairs (`drivers.api.LinkRepairer`,
`drivers.api.Repairer`). The trace repairs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_interface

from drivers import bridge_options
from drivers.api import (
    ARP,
    ISOLATED,
    KIND,
    MAC,
    MASTER,
    MTU,
    UP,
    Difference,
    DriverError,
    EndpointSpec,
    IPAddress,
    LinkRepairer,
    Repairer,
)
from drivers.linux import marked_links, names, path_lookup
from drivers.linux.netlink import session
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.records import Records
from engine.diagnosis.trace.source import of_container
from engine.endpoints import sandbox, shared_state
from engine.endpoints.sandbox import JoinedEndpoint
from engine.host import Host, endpoint_spec, network_spec
from engine.model import ContainerRecord, NetworkRecord
from engine.recovery.link_repair import heals
from engine.store.api import Reader

STATE = "state"  # a flag of bridge ports
HARMLESS = ("learning", "guard")
"""The flags of bridge ports that stop no packet of a path.

If a port learns no MAC addresses, the bridge floods the packets to all ports. The flag guard concerns only packets of
the spanning tree protocol.
"""
ADDRESSES = ("address", "route", "default route")  # for these values of Difference.place, the subject is an IP address


@dataclass(frozen=True, slots=True)
class Fault:
    """A culprit that the comparison found.

    ``of_bridge`` is True for a fault of a network's bridge or of the bridge's addresses. ``version`` is the IP version
    of a missing address or route, or 0 if the fault concerns both versions. ``setting`` is that of the difference
    (`drivers.api.Difference`).
    """

    culprit: Culprit
    of_bridge: bool = False
    version: int = 0
    setting: str = ""


class State:
    """The comparison of records with the kernel, for one trace."""

    def __init__(self, host: Host, records: Records) -> None:
        self._host, self._records = host, records

    def of_network(self, network: NetworkRecord) -> Iterator[Fault]:
        """Yield the faults of a network's objects on the host."""
        driver = self._driver(network)
        if driver is None:
            return
        publishing = [self._spec(m) for m in self._members_of(network) if m.endpoint.ports]
        for difference in driver.compare_network(network_spec(network), [s for s in publishing if s]):
            culprit = self._network_culprit(network, difference)
            if culprit is not None:
                of_bridge = difference.place in ("bridge", "address")
                yield Fault(culprit, of_bridge, _version(difference), difference.setting)

    def of_endpoint(self, member: JoinedEndpoint) -> Iterator[Fault]:
        """Yield the faults of an endpoint: of its bridge port, its interface, its addresses and its routes."""
        driver, container, spec = self._driver(member.network), self._records.container_of(member), self._spec(member)
        if driver is None or container is None or spec is None:
            return
        place = sandbox.sandbox_of(container)
        try:
            found = driver.compare_endpoint(member.spec, spec, place, member.endpoint.interface)
        except (DriverError, OSError):
            return
        for difference in found:
            culprit = self._endpoint_culprit(member, container, difference)
            if culprit is not None:
                yield Fault(culprit, version=_version(difference), setting=difference.setting)

    def default_routes(self, container: ContainerRecord) -> Iterator[Fault]:
        """Yield the default routes that a container's sandbox has lost."""
        owner = self._records.owner(container)
        members = self._records.members(owner)
        if not members or any(self._driver(m.network) is None for m in members):
            return
        try:
            lost = sandbox.lost_routes(owner, members)
        except (DriverError, OSError):
            return
        for one in lost:
            version = _version(one)
            detail, kind = f"{owner.name} has lost its default route {one.what}", "no-route"
            other = of_container(self._records, owner).inside(partial(_default_gateway, version))
            if other is not None and one.what.endswith(f"via {other}"):
                continue  # a user has set the same route again
            if other is not None:
                kind, detail = "wrong-route", f"{detail}, and has a default route via {other} instead"
            fix = self._repair(members[0].network, owner)
            what, where = f"default route of {owner.name}", f"container {owner.name}"
            yield Fault(Culprit(kind, what, where, detail, fix), version=version)

    def firewall(self, reader: Reader) -> list[Difference]:
        """Return the damage to hawse's own firewall: the differences for which `Difference.is_damage` is true."""
        driver = self._host.driver("bridge")
        if not isinstance(driver, Repairer) or not shared_state.is_of_this_boot(reader):
            return []
        found = driver.compare(shared_state.of(reader, "bridge"))
        return [one for one in found if one.is_damage]

    def _driver(self, network: NetworkRecord) -> LinkRepairer | None:
        try:
            driver = self._host.driver(network.driver)
        except Exception:  # a driver of another package may raise any exception
            return None
        return driver if isinstance(driver, LinkRepairer) else None

    def _members_of(self, network: NetworkRecord) -> list[JoinedEndpoint]:
        return [self._records.joined(e) for e in self._records.endpoints if e.network_id == network.id]

    def _spec(self, member: JoinedEndpoint) -> EndpointSpec | None:
        container = self._records.container_of(member)
        return endpoint_spec(member.endpoint, container) if container is not None else None

    def _repair(self, network: NetworkRecord, container: ContainerRecord | None = None) -> str:
        """Return the remedy for a difference: the command that repairs a network and its containers."""
        command = f"hawse network verify --fix {network.name}"
        if self._host.config.heal and heals(container if container is not None else network):
            return f"the agent repairs this within a second; or repair it yourself: {command}"
        return f"repair it: {command}"

    def _network_culprit(self, network: NetworkRecord, one: Difference) -> Culprit | None:
        name = bridge_of(network)
        what, fix = f"bridge {name} of network {network.name}", self._repair(network)
        detail = f"network {network.name}: {one.kind} {one.place}: {one.what}"
        if one.place == "bridge" and one.kind == "missing":
            return Culprit("bridge-missing", what, "host", f"{name} does not exist; {detail}", fix)
        if one.place == "bridge" and one.setting == KIND:
            return Culprit("bridge-missing", what, "host", one.what, fix)
        if one.place == "bridge" and one.setting == ARP:
            arp_on = f"switch it on: ip link set {name} arp on"
            return Culprit("stale-neighbour", f"{what} (arp off)", "host", one.what, arp_on)
        if one.place == "bridge" and one.setting == MAC:
            return Culprit("wrong-address", what, "host", one.what, fix)
        if one.place == "bridge":
            return Culprit("bridge-down", what, "host", one.what, f"bring it up: ip link set {name} up")
        if one.place == "address":
            return Culprit("wrong-address", what, "host", f"{name} has lost its address; {detail}", fix)
        if one.place == "route":
            return Culprit("no-route", f"route of network {network.name} ({one.what})", "host", detail, fix)
        if one.place == "forwarding":
            key = {"ipv4": "net.ipv4.ip_forward", "ipv6": "net.ipv6.conf.all.forwarding"}.get(one.what, one.what)
            return _forwarding(key)
        if one.place == "sysctl" and one.what.endswith(".forwarding"):
            return _forwarding(one.what)
        return None

    def _endpoint_culprit(self, member: JoinedEndpoint, container: ContainerRecord, one: Difference) -> Culprit | None:
        interface, port = member.endpoint.interface or "eth0", port_of(member)
        where, fix = f"container {container.name}", self._repair(member.network, container)
        detail = f"{container.name} on network {member.network.name}: {one.kind} {one.place}: {one.what}"
        pair = f"interface {interface} of {container.name} ({port} on the host)"
        if one.kind == "missing" and one.place in ("port", "interface"):
            return Culprit("interface-missing", pair, where, f"the veth pair {port} does not exist; {detail}", fix)
        if one.place == "port":
            return _port_culprit(member.network, container, port, one, fix)
        if one.place == "interface" and one.setting == MAC:
            what = f"MAC {member.endpoint.link_mac} of {interface} of {container.name}"
            return Culprit("wrong-address", what, where, one.what, fix)
        if one.place == "interface" and one.setting in (UP, ARP, MTU):
            return _interface_culprit(container, one, fix)
        if one.place == "interface":
            return Culprit("interface-missing", pair, where, detail, fix)
        if one.place == "address":
            address = f"address {one.subject} of {interface} of {container.name}"
            return Culprit("wrong-address", address, where, detail, fix)
        if one.place == "route":
            return Culprit("no-route", f"route to {one.subject} of {container.name}", where, detail, fix)
        return None


def _port_culprit(
    network: NetworkRecord, container: ContainerRecord, port: str, one: Difference, fix: str
) -> Culprit | None:
    """Return the culprit for a difference of the endpoint's bridge port ``port``, which exists, or None."""
    if one.setting in HARMLESS or (one.setting == ISOLATED and not one.value):
        return None
    what = f"bridge port {port} of {container.name}"
    if one.setting == UP:
        down = f"interface {port} of {container.name}"
        return Culprit("interface-down", down, "host", one.what, f"ip link set {port} up")
    if one.setting == MASTER:
        detail = f"{one.what}, the bridge of network {network.name}"
        return Culprit("not-in-bridge", what, "host", detail, fix)
    words = {0: f"{one.setting} off", 1: f"{one.setting} on"} if one.setting != STATE else {}
    shown = words.get(one.value, f"{one.setting} {one.value}")
    return Culprit("not-in-bridge", f"{what} ({shown})", "host", f"{one.what}, so it does not get all frames", fix)


def _interface_culprit(container: ContainerRecord, one: Difference, fix: str) -> Culprit:
    """Return the culprit for a wrong setting of a container's interface; ``fix`` is the remedy for a wrong MTU."""
    what, where = f"interface {one.subject} of {container.name}", f"container {container.name}"
    if one.setting == UP:
        fix = f"bring it up in {container.name}: ip link set {one.subject} up"
        return Culprit("interface-down", what, where, one.what, fix)
    if one.setting == MTU:
        return Culprit("mtu", what, where, one.what, fix)
    fix = f"switch it on in {container.name}: ip link set {one.subject} arp on"
    return Culprit("stale-neighbour", f"{what} (arp off)", where, one.what, fix)


def _default_gateway(version: int) -> IPAddress | None:
    return path_lookup.route(path_lookup.anywhere(version)).gateway


def _version(one: Difference) -> int:
    """Return the IP version that a difference concerns, or 0 for both.

    A difference of the MTU concerns IPv6: only an MTU below the minimum of IPv6 (1280 bytes) is reported.
    """
    if one.setting == MTU:
        return 6
    return ip_interface(one.subject).version if one.subject and one.place in ADDRESSES else 0


def _forwarding(key: str) -> Culprit:
    detail = f"{key} is 0, so the host forwards no packets"
    return Culprit("forwarding-off", f"sysctl {key}", "host", detail, f"switch it on: sysctl -w {key}=1")


def bridge_of(network: NetworkRecord) -> str:
    """Return the name of the Linux bridge of a bridge network."""
    try:
        return bridge_options.parse(network_spec(network)).bridge
    except DriverError:
        return names.bridge_name(network.id)


def port_of(member: JoinedEndpoint) -> str:
    """Return the name of the host end of an endpoint's veth pair.

    If the veth pair does not exist, return the name that hawse would give to its host end.
    """
    with session() as opened:
        port = marked_links.host_end(opened, member.endpoint.id)
    return port.name if port is not None else names.host_end_names(member.endpoint.id)[0]
