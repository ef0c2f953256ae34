"""Sandboxes: which endpoints are in one, what its interfaces are called, and where its default routes go.

Rules of Docker's libnetwork: a container's interfaces are eth0, eth1 … in the order of joining; at a start that order
is `engine.precedence`. Each family's default route belongs to the endpoint that comes first in it, among those whose
network has a way out. Published ports follow the endpoint that holds the default route.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from drivers import sandbox as kernel
from drivers.api import EndpointSpec, IPAddress, Multihomed, NetworkSpec, PortBinding, Publisher, Sandbox
from engine import endpoints
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord, PortRecord
from engine.precedence import Rank, rank
from engine.private import make_private
from engine.translation import translated

PREFIX_OPTION = "com.docker.network.container_iface_prefix"
IFNAME_OPTION = "com.docker.network.endpoint.ifname"


@dataclass(frozen=True, slots=True)
class Membership:
    """One endpoint of a sandbox with the network it belongs to."""

    network: NetworkRecord
    endpoint: EndpointRecord

    def priority(self, container: ContainerRecord) -> Rank:
        """Sort key of default-route candidates, best first."""
        settings = endpoints.attachment_of(container, self.network.id).settings
        return rank(self.network, settings.gw_priority)


def joining_order(networks: Iterable[NetworkRecord]) -> list[NetworkRecord]:
    """The order in which a starting container joins its networks."""
    return sorted(networks, key=rank)


def of(container: ContainerRecord) -> Sandbox:
    """The container's sandbox as drivers see it."""
    return Sandbox(container.sandbox_id, container.sandbox_path, container.sandbox_inode)


def open_path(run: Path, sandbox_id: str, namespace: str) -> str:
    """Give a running process's namespace the path that inspect shows as SandboxKey: a link, gone with the process."""
    path = Path(path_of(run, sandbox_id))
    make_private(path.parent)
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
    """The name of the container's interface number ``index`` on a network."""
    settings = endpoints.attachment_of(container, network.id).settings
    chosen = (settings.driver_opts or {}).get(IFNAME_OPTION, "")
    return chosen or (network.options or {}).get(PREFIX_OPTION, "eth") + str(index)


def join(host: Host, container: ContainerRecord, member: Membership, index: int) -> EndpointRecord:
    """Plumb one endpoint into the sandbox; the record with interface, MAC and gateways filled in."""
    driver = host.driver(member.network.driver)
    network = endpoints.network_spec(member.network)
    endpoint = endpoints.endpoint_spec(member.endpoint, container)
    with translated():
        driver.create_endpoint(network, endpoint)
        info = driver.join(network, endpoint, of(container), interface_name(member.network, container, index))
    return replace(
        member.endpoint,
        interface=info.interface,
        mac=info.mac,
        gateway4=str(info.gateway4 or ""),
        gateway6=str(info.gateway6 or ""),
    )


def leave(host: Host, container: ContainerRecord, member: Membership, *, alive: bool) -> None:
    """Take one endpoint out, whatever is left of it; idempotent."""
    driver = host.driver(member.network.driver)
    network = endpoints.network_spec(member.network)
    endpoint = endpoints.endpoint_spec(member.endpoint, container)
    with translated():
        driver.leave(network, endpoint, of(container) if alive else None)
        driver.delete_endpoint(network, endpoint)


def admit_siblings(host: Host, members: Sequence[Membership]) -> None:
    """Let a sandbox send by each of its networks from its addresses on the others, as its default route may move.

    Idempotent.
    """
    for driver, crossings in _crossings(host, [(m, o) for m in members for o in members if m is not o]):
        with translated():
            driver.admit(crossings)


def dismiss_siblings(host: Host, member: Membership, others: Sequence[Membership]) -> None:
    """Take that back for one endpoint, which is to leave the others; idempotent."""
    for driver, crossings in _crossings(host, [pair for o in others for pair in ((member, o), (o, member))]):
        with translated():
            driver.dismiss(crossings)


def _crossings(
    host: Host, pairs: Iterable[tuple[Membership, Membership]]
) -> Iterator[tuple[Multihomed, Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]]]:
    """By drivers that concern themselves with it, each first one's network with the second one's addresses."""
    found: dict[str, list[tuple[NetworkSpec, Sequence[IPAddress]]]] = {}
    for member, other in pairs:
        addresses = endpoints.addresses_of([other.endpoint])
        if addresses:
            network = endpoints.network_spec(member.network)
            found.setdefault(member.network.driver, []).append((network, addresses))
    for name, crossings in found.items():
        driver = host.driver(name)
        if isinstance(driver, Multihomed):
            yield driver, crossings


def gateways(container: ContainerRecord, members: Sequence[Membership]) -> tuple[Membership | None, Membership | None]:
    """The endpoints that hold the IPv4 and the IPv6 default route."""
    ranked = sorted(members, key=lambda m: m.priority(container))
    best4 = next((m for m in ranked if m.endpoint.gateway4), None)
    best6 = next((m for m in ranked if m.endpoint.gateway6), None)
    return best4, best6


def route(container: ContainerRecord, members: Sequence[Membership]) -> None:
    """Set the sandbox's default routes to what its endpoints call for."""
    best4, best6 = gateways(container, members)
    with translated():
        kernel.set_default_routes(
            of(container),
            IPv4Address(best4.endpoint.gateway4) if best4 else None,
            IPv6Address(best6.endpoint.gateway6) if best6 else None,
            interface4=best4.endpoint.interface if best4 else "",
            interface6=best6.endpoint.interface if best6 else "",
        )


def raise_loopback(container: ContainerRecord) -> None:
    """Bring up the loopback of a sandbox that is on no network; every network does it for those on it."""
    with translated():
        kernel.raise_loopback(of(container))


def publish(host: Host, container: ContainerRecord, member: Membership, ports: Sequence[PortRecord]) -> None:
    """Make ports of one endpoint reachable."""
    driver = host.driver(member.network.driver)
    if ports and isinstance(driver, Publisher):
        spec = endpoints.endpoint_spec(member.endpoint, container)
        with translated():
            driver.publish(endpoints.network_spec(member.network), spec, _bindings(member, spec, ports))


def unpublish(
    host: Host, container: ContainerRecord, member: Membership, ports: Sequence[PortRecord], *, leaving: bool = False
) -> None:
    """Take ports of one endpoint back; idempotent. What goes on through those of a ``leaving`` one, `leave` ends."""
    driver = host.driver(member.network.driver)
    if ports and isinstance(driver, Publisher):
        spec = endpoints.endpoint_spec(member.endpoint, container)
        with translated():
            bindings = _bindings(member, spec, ports)
            driver.unpublish(endpoints.network_spec(member.network), spec, bindings, leaving=leaving)


def _bindings(member: Membership, spec: EndpointSpec, ports: Sequence[PortRecord]) -> Sequence[PortBinding]:
    """Ports as a driver sees them; mostly those of the endpoint, which have been read already."""
    return spec.ports if ports is member.endpoint.ports else endpoints.port_bindings(ports)


def can_publish(host: Host, network: NetworkRecord) -> bool:
    """Tell whether published ports of a container can live on this network."""
    return not network.internal and isinstance(host.driver(network.driver), Publisher)
