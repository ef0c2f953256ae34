"""Compare the kernel with the records for the networks and endpoints on a path.

Each difference that stops packets becomes a `Culprit`. The agent uses the same comparisons for its repairs
(`drivers.api.LinkRepairer`, `drivers.api.Repairer`). The trace repairs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_interface
from shlex import quote

from msgspec import Struct

from drivers import bridge_options
from drivers.api import LinkRepairer, Repairer
from drivers.errors import DriverError
from drivers.linux import features, names, path_lookup
from drivers.model import ARP, ISOLATED, KIND, MAC, MASTER, MTU, UP, Difference, EndpointSpec, IPAddress
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.records import Place, Records
from engine.diagnosis.trace.source import of_container, removing
from engine.endpoints import boots, sandbox, shared_state
from engine.endpoints.sandbox import JoinedEndpoint
from engine.host import Host, endpoint_spec, network_spec
from engine.model import ContainerRecord, NetworkRecord
from engine.recovery.link_repair import heals
from engine.store.api import Reader

STATE = "state"  # a setting of bridge ports; its value is a number, not on or off
HARMLESS = ("learning", "guard")
"""The flags of bridge ports that stop no packet of a path.

If a port learns no MAC addresses, the bridge floods the packets to all ports. The flag guard concerns only packets of
the spanning tree protocol.
"""
ADDRESSES = ("address", "route", "default route")  # for these values of Difference.place, the subject is an IP address


class Fault(Struct, frozen=True):
    """A culprit that the comparison found.

    - ``of_bridge``: True for a fault of a network's bridge or of the bridge's addresses.
    - ``version``: the IP version that the fault concerns, or 0 for both.
    - ``setting``: the wrong setting of a link, such as its MTU (`drivers.model.Difference.setting`), or "" for any
      other fault.
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
            differences = driver.compare_endpoint(member.spec, spec, place, member.endpoint.interface)
        except (DriverError, OSError):
            return
        for difference in differences:
            culprit = self._endpoint_culprit(member, container, difference)
            if culprit is not None:
                yield Fault(culprit, version=_version(difference), setting=difference.setting)

    def default_routes(self, container: ContainerRecord) -> Iterator[Fault]:
        """Yield a fault for each default route that a container's sandbox has lost."""
        owner = self._records.owner(container)
        members = self._records.members(owner)
        if not members or any(self._driver(m.network) is None for m in members):
            return
        try:
            lost = sandbox.lost_routes(owner, members)
        except (DriverError, OSError):
            return
        for difference in lost:
            version = _version(difference)
            detail, kind = f"{owner.name} has lost its default route {difference.what}", "no-route"
            other = of_container(self._records, owner).inside(partial(_default_gateway, version))
            if other is not None and difference.what.endswith(f"via {other}"):
                continue  # a user has set the same route again
            fix = self._repair(members[0].network, owner)
            if other is not None:
                kind, detail = "wrong-route", f"{detail}, and has a default route via {other} instead"
                place, anywhere = of_container(self._records, owner), path_lookup.anywhere(version)
                command = f"hawse network verify --fix {quote(members[0].network.name)}"
                fix = f"{removing(place, anywhere, place.inside(partial(path_lookup.route, anywhere)))} && {command}"
            what, where = f"default route of {owner.name}", f"container {owner.name}"
            yield Fault(Culprit(kind, what, where, detail, fix), version=version)

    def firewall(self, reader: Reader) -> list[Difference]:
        """Return the differences of hawse's own firewall that are damage (`Difference.is_damage`)."""
        driver = self._host.driver("bridge")
        if not isinstance(driver, Repairer) or not boots.is_of_this_boot(reader):
            return []
        differences = driver.compare(shared_state.of(reader, "bridge"))
        return [difference for difference in differences if difference.is_damage]

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
        """Return the remedy for a difference: the command that repairs a network and its containers.

        If the agent also repairs the difference, the remedy says so. ``container`` is the container that differs from
        its records, or None if the network does.
        """
        command = f"hawse network verify --fix {quote(network.name)}"
        if self._host.config.heal and heals(container if container is not None else network):
            return f"the agent repairs this within a second; or repair it yourself: {command}"
        return f"repair it: {command}"

    def _network_culprit(self, network: NetworkRecord, difference: Difference) -> Culprit | None:
        name = bridge_of(network)
        what, fix = f"bridge {name} of network {network.name}", self._repair(network)
        detail = f"network {network.name}: {difference.kind} {difference.place}: {difference.what}"
        if difference.place == "bridge" and difference.kind == "missing":
            return Culprit("bridge-missing", what, "host", f"{name} does not exist; {detail}", fix)
        if difference.place == "bridge" and difference.setting == KIND:
            return Culprit("bridge-missing", what, "host", difference.what, fix)
        if difference.place == "bridge" and difference.setting == ARP:
            arp_on = f"switch it on: ip link set {name} arp on"
            return Culprit("stale-neighbour", f"{what} (arp off)", "host", difference.what, arp_on)
        if difference.place == "bridge" and difference.setting == MAC:
            return Culprit("wrong-address", what, "host", difference.what, fix)
        if difference.place == "bridge":
            return Culprit("bridge-down", what, "host", difference.what, f"bring it up: ip link set {name} up")
        if difference.place == "address":
            return Culprit("wrong-address", what, "host", f"{name} has lost its address; {detail}", fix)
        if difference.place == "route":
            return Culprit("no-route", f"route of network {network.name} ({difference.what})", "host", detail, fix)
        if difference.place == "forwarding":
            keys = {"ipv4": "net.ipv4.ip_forward", "ipv6": "net.ipv6.conf.all.forwarding"}
            return _forwarding(keys.get(difference.what, difference.what))
        if difference.place == "sysctl" and difference.what.endswith(".forwarding"):
            return _forwarding(difference.what)
        return None

    def _endpoint_culprit(
        self, member: JoinedEndpoint, container: ContainerRecord, difference: Difference
    ) -> Culprit | None:
        interface, port = member.endpoint.interface or "eth0", port_of(member)
        where, fix = f"container {container.name}", self._repair(member.network, container)
        detail = f"{container.name} on network {member.network.name}: "
        detail += f"{difference.kind} {difference.place}: {difference.what}"
        pair = f"interface {interface} of {container.name} ({port} on the host)"
        if difference.kind == "missing" and difference.place in ("port", "interface"):
            return Culprit("interface-missing", pair, where, f"the veth pair {port} does not exist; {detail}", fix)
        if difference.place == "port":
            return _port_culprit(member.network, container, port, difference, fix)
        if difference.place == "interface" and difference.setting == MAC:
            what = f"MAC {member.endpoint.link_mac} of {interface} of {container.name}"
            return Culprit("wrong-address", what, where, difference.what, fix)
        if difference.place == "interface" and difference.setting in (UP, ARP, MTU):
            return _interface_culprit(of_container(self._records, container), difference, fix)
        if difference.place == "interface":
            return Culprit("interface-missing", pair, where, detail, fix)
        if difference.place == "address":
            address = f"address {difference.subject} of {interface} of {container.name}"
            return Culprit("wrong-address", address, where, detail, fix)
        if difference.place == "route":
            return Culprit("no-route", f"route to {difference.subject} of {container.name}", where, detail, fix)
        return None


def _port_culprit(
    network: NetworkRecord, container: ContainerRecord, port: str, difference: Difference, fix: str
) -> Culprit | None:
    """Return the culprit for a wrong setting of a bridge port, or None if the wrong setting stops no packets.

    ``fix`` is the remedy, except for a port that is down: there the remedy is always ``ip link set PORT up``.
    """
    if difference.setting in HARMLESS or (difference.setting == ISOLATED and not difference.value):
        return None
    what = f"bridge port {port} of {container.name}"
    if difference.setting == UP:
        down = f"interface {port} of {container.name}"
        return Culprit("interface-down", down, "host", difference.what, f"ip link set {port} up")
    if difference.setting == MASTER:
        detail = f"{difference.what}, the bridge of network {network.name}"
        return Culprit("not-in-bridge", what, "host", detail, fix)
    words = {0: f"{difference.setting} off", 1: f"{difference.setting} on"} if difference.setting != STATE else {}
    shown = words.get(difference.value, f"{difference.setting} {difference.value}")
    detail = f"{difference.what}, so it does not get all frames"
    return Culprit("not-in-bridge", f"{what} ({shown})", "host", detail, fix)


def _interface_culprit(container: Place, difference: Difference, fix: str) -> Culprit:
    """Return the culprit for a wrong setting of a container's interface; ``fix`` is the remedy for a wrong MTU."""
    what, where = f"interface {difference.subject} of {container.name}", f"container {container.name}"
    if difference.setting == UP:
        fix = f"bring it up: {container.command(f'ip link set {difference.subject} up')}"
        return Culprit("interface-down", what, where, difference.what, fix)
    if difference.setting == MTU:
        return Culprit("mtu", what, where, difference.what, fix)
    fix = f"switch it on: {container.command(f'ip link set {difference.subject} arp on')}"
    return Culprit("stale-neighbour", f"{what} (arp off)", where, difference.what, fix)


def _default_gateway(version: int) -> IPAddress | None:
    return path_lookup.route(path_lookup.anywhere(version)).gateway


def _version(difference: Difference) -> int:
    """Return the IP version that a difference concerns, or 0 for both.

    A wrong MTU concerns IPv6, because only an MTU below the minimum of IPv6 (1280 bytes) is reported.
    """
    if difference.setting == MTU:
        return 6
    return ip_interface(difference.subject).version if difference.subject and difference.place in ADDRESSES else 0


def _forwarding(key: str) -> Culprit:
    detail = f"{key} is 0, so the host forwards no packets"
    return Culprit("forwarding-off", f"sysctl {key}", "host", detail, f"switch it on: sysctl -w {key}=1")


def bridge_of(network: NetworkRecord) -> str:
    """Return the name of the Linux bridge of a bridge network."""
    try:
        return bridge_options.parse(network_spec(network)).bridge
    except DriverError:
        return names.bridge_name(network.id)


def bridge_at(member: JoinedEndpoint | None) -> str:
    """Return the name of the bridge of an endpoint's network, or "" without an endpoint on a bridge network."""
    return bridge_of(member.network) if member is not None and member.network.driver == "bridge" else ""


def port_of(member: JoinedEndpoint) -> str:
    """Return the name of the host end of an endpoint's veth pair.

    If the veth pair does not exist, return the name that hawse would give to its host end.
    """
    return features.host_end_name(member.endpoint.id)
