"""Sandboxes: which endpoints are in one, what its interfaces are called, and where its default routes go.

Rules of Docker's libnetwork: a container's interfaces are eth0, eth1 … in the order of joining; at a start that order
is `engine.endpoints.priority`. Each family's default route belongs to the endpoint that comes first in it, among those whose
network has a way out. Published ports follow the endpoint that holds the default route. hawse's own: an endpoint may be
put first, or never hold it (``default_route``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from drivers import sandbox as kernel
from drivers.api import EndpointSpec, IPAddress, Multihomed, NetworkSpec, PortBinding, Publisher, Sandbox
from drivers.linux.default_routes import BOOT, OURS, WayOut
from engine import dispatch
from engine.dispatch import translate_driver_errors
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord, PortRecord
from engine.paths import make_private_directory

DEFAULT_ROUTE = ("yes", "", "no")
"""What may be said of an endpoint and the default route: those that come first get it first, and the last never."""
PROTOCOLS = {"process": BOOT, "adopted": OURS}
"""The protocol of the default routes we add. In a container they look as Docker's; where others set routes, as ours."""
PREFIX_OPTION = "com.docker.network.container_iface_prefix"
IFNAME_OPTION = "com.docker.network.endpoint.ifname"


@dataclass(frozen=True)
class JoinedEndpoint:
    """One endpoint of a sandbox with the network it belongs to."""

    network: NetworkRecord
    endpoint: EndpointRecord

    @cached_property
    def spec(self) -> NetworkSpec:
        """The network as its driver sees it."""
        return dispatch.network_spec(self.network)

    def priority(self, container: ContainerRecord) -> tuple[int, Rank]:
        """Sort key of default-route candidates, best first."""
        settings = dispatch.attachment_of(container, self.network.id).settings
        return DEFAULT_ROUTE.index(self.endpoint.default_route), gateway_priority(self.network, settings.gw_priority)


def joining_order(networks: Iterable[NetworkRecord]) -> list[NetworkRecord]:
    """The order in which a starting container joins its networks."""
    return sorted(networks, key=gateway_priority)


def sandbox_of(container: ContainerRecord) -> Sandbox:
    """The container's sandbox as drivers see it."""
    return Sandbox(container.sandbox_id, container.sandbox_path, container.sandbox_inode)


def open_path(run: Path, sandbox_id: str, namespace: str) -> str:
    """Give a running process's namespace the path that inspect shows as SandboxKey: a link, gone with the process."""
    path = Path(path_of(run, sandbox_id))
    make_private_directory(path.parent)
    path.unlink(missing_ok=True)
    path.symlink_to(namespace)
    return str(path)


def inode_of(namespace: str) -> int:
    """The number of the namespace that a path opens, 0 where its process has ended already."""
    try:
        return os.stat(namespace).st_ino
    except OSError:
        return 0


def path_of(run: Path, sandbox_id: str) -> str:
    """The path that inspect shows as SandboxKey."""
    return str(run / "netns" / sandbox_id[:12])


def interface_name(network: NetworkRecord, container: ContainerRecord, index: int) -> str:
    """The name of the container's interface number ``index`` on a network; in a foreign namespace the next free one."""
    settings = dispatch.attachment_of(container, network.id).settings
    chosen = (settings.driver_opts or {}).get(IFNAME_OPTION, "")
    prefix = (network.options or {}).get(PREFIX_OPTION, "eth")
    if container.kind == "adopted" and not chosen:
        return kernel.free_name(sandbox_of(container), prefix, index)
    return chosen or f"{prefix}{index}"


def join(host: Host, container: ContainerRecord, member: JoinedEndpoint, index: int) -> EndpointRecord:
    """Plumb one endpoint into the sandbox; the record with interface, MAC and gateways filled in."""
    driver = host.driver(member.network.driver)
    network, endpoint = member.spec, dispatch.endpoint_spec(member.endpoint, container)
    with translate_driver_errors():
        name = interface_name(member.network, container, index)
        driver.create_endpoint(network, endpoint)
        info = driver.join(network, endpoint, sandbox_of(container), name)
    return replace(
        member.endpoint,
        interface=info.interface,
        mac=info.mac,
        gateway4=str(info.gateway4 or ""),
        gateway6=str(info.gateway6 or ""),
        on_link=info.on_link,
    )


def leave(host: Host, container: ContainerRecord, member: JoinedEndpoint, *, alive: bool) -> None:
    """Take one endpoint out, whatever is left of it; idempotent."""
    driver = host.driver(member.network.driver)
    network, endpoint = member.spec, dispatch.endpoint_spec(member.endpoint, container)
    with translate_driver_errors():
        driver.leave(network, endpoint, sandbox_of(container) if alive else None)
        driver.delete_endpoint(network, endpoint)


def admit_siblings(host: Host, members: Sequence[JoinedEndpoint]) -> None:
    """Let a sandbox send by each of its networks from its addresses on the others, as its default route may move.

    Idempotent.
    """
    for driver, crossings in _crossings(host, [(m, o) for m in members for o in members if m is not o]):
        with translate_driver_errors():
            driver.admit(crossings)


def dismiss_siblings(host: Host, member: JoinedEndpoint, others: Sequence[JoinedEndpoint]) -> None:
    """Take that back for one endpoint, which is to leave the others; idempotent."""
    for driver, crossings in _crossings(host, [pair for o in others for pair in ((member, o), (o, member))]):
        with translate_driver_errors():
            driver.dismiss(crossings)


def _crossings(
    host: Host, pairs: Iterable[tuple[JoinedEndpoint, JoinedEndpoint]]
) -> Iterator[tuple[Multihomed, Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]]]:
    """By drivers that concern themselves with it, each first one's network with the second one's addresses."""
    found: dict[str, list[tuple[NetworkSpec, Sequence[IPAddress]]]] = {}
    for member, other in pairs:
        addresses = dispatch.addresses_of([other.endpoint])
        if addresses:
            found.setdefault(member.network.driver, []).append((member.spec, addresses))
    for name, crossings in found.items():
        driver = host.driver(name)
        if isinstance(driver, Multihomed):
            yield driver, crossings


def gateways(
    container: ContainerRecord, members: Sequence[JoinedEndpoint]
) -> tuple[JoinedEndpoint | None, JoinedEndpoint | None]:
    """The endpoints that hold the IPv4 and the IPv6 default route."""
    ranked = sorted(members, key=lambda m: m.priority(container))
    able = [m for m in ranked if m.endpoint.default_route != "no"]
    best4, best6 = (next((m for m in able if _way_out(m, version)), None) for version in (4, 6))
    return best4, best6


def route(container: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Set the sandbox's default routes to what its endpoints call for; those that others have set are left alone."""
    if container.host.network_mode == "host":
        return
    chosen = [
        replace(way, takes_over=m.endpoint.default_route == "yes")
        for m, version in zip(gateways(container, members), (4, 6), strict=True)
        if m is not None and (way := _way_out(m, version)) is not None
    ]
    offered = [way for m in members for version in (4, 6) if (way := _way_out(m, version)) is not None]
    with translate_driver_errors():
        kernel.set_default_routes(sandbox_of(container), chosen, offered, PROTOCOLS[container.kind])


def _way_out(member: JoinedEndpoint, version: int) -> WayOut | None:
    """The way out that an endpoint offers for a family."""
    endpoint = member.endpoint
    of_family = {4: (endpoint.gateway4, endpoint.ipv4), 6: (endpoint.gateway6, endpoint.ipv6)}
    gateway, address = of_family[version]
    if gateway:
        return WayOut(version, endpoint.interface, ip_address(gateway))
    return WayOut(version, endpoint.interface) if endpoint.on_link and address else None


def raise_loopback(container: ContainerRecord) -> None:
    """Bring up the loopback of a sandbox that is on no network; every network does it for those on it."""
    with translate_driver_errors():
        kernel.raise_loopback(sandbox_of(container))


def publish(host: Host, container: ContainerRecord, member: JoinedEndpoint, ports: Sequence[PortRecord]) -> None:
    """Make ports of one endpoint reachable."""
    driver = host.driver(member.network.driver)
    if ports and isinstance(driver, Publisher):
        spec = dispatch.endpoint_spec(member.endpoint, container)
        with translate_driver_errors():
            driver.publish(member.spec, spec, _bindings(member, spec, ports))


def unpublish(
    host: Host,
    container: ContainerRecord,
    member: JoinedEndpoint,
    ports: Sequence[PortRecord],
    *,
    leaving: bool = False,
) -> None:
    """Take ports of one endpoint back; idempotent. What goes on through those of a ``leaving`` one, `leave` ends."""
    driver = host.driver(member.network.driver)
    if ports and isinstance(driver, Publisher):
        spec = dispatch.endpoint_spec(member.endpoint, container)
        with translate_driver_errors():
            bindings = _bindings(member, spec, ports)
            driver.unpublish(member.spec, spec, bindings, leaving=leaving)


def _bindings(member: JoinedEndpoint, spec: EndpointSpec, ports: Sequence[PortRecord]) -> Sequence[PortBinding]:
    """Ports as a driver sees them; mostly those of the endpoint, which have been read already."""
    return spec.ports if ports is member.endpoint.ports else dispatch.port_bindings(ports)


def can_publish(host: Host, network: NetworkRecord) -> bool:
    """Tell whether published ports of a container can live on this network."""
    return not network.internal and isinstance(host.driver(network.driver), Publisher)


Rank = tuple[bool, int, bool, str]


def gateway_priority(network: NetworkRecord, gw_priority: int = 0) -> Rank:
    """The sort key of a network, best first."""
    return network.internal, -gw_priority, not _leads_out_twice(network), network.name


def _leads_out_twice(network: NetworkRecord) -> bool:
    families = {":" in pool.gateway for pool in network.pools if pool.gateway and not pool.unused}
    return len(families) == 2 and network.scope == "local"
