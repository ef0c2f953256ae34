"""Sandboxes: the endpoints in a sandbox, the names of its interfaces, and its default routes.

The rules are those of Docker's libnetwork:

- Interfaces are eth0, eth1 … in the order in which the container joined its networks. A start joins the networks in the
  order of `gateway_priority`.
- The default route of each IP family belongs to the first endpoint that has a gateway for this family.
  `JoinedEndpoint.priority` gives the order.
- Published ports belong to the first endpoint, in the same order, whose network can publish ports. If an earlier
  endpoint (macvlan, ipvlan) has the default route, no port is published.

The endpoint setting ``default_route`` is a hawse extension: the setting puts an endpoint before all other endpoints, or
excludes the endpoint from the default route.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from drivers import sandbox as kernel
from drivers.api import BulkRemover, Multihomed, Publisher
from drivers.linux.default_routes import BOOT, OURS, DefaultRoute
from drivers.model import Difference, EndpointSpec, IPAddress, NetworkSpec, PortBinding, Sandbox
from drivers.plan import Step, teardown
from engine.host import (
    Host,
    addresses_of,
    attachment_of,
    endpoint_spec,
    network_spec,
    port_bindings,
    translate_driver_errors,
)
from engine.model import ContainerRecord, EndpointRecord, NetworkAttachment, NetworkRecord, PortRecord
from engine.names import interface_number, interface_prefix

DEFAULT_ROUTE = ("yes", "", "no")
"""The values of an endpoint's ``default_route`` setting, from most preferred to least preferred. An endpoint with "no"
never gets the default route.
"""
PROTOCOLS = {"process": BOOT, "adopted": OURS}
"""The routing protocol number (rtm_protocol) of the default routes that hawse adds, by ``ContainerRecord.kind``.

In containers the number is ``boot``, as in Docker. In adopted namespaces, other programs add routes too. Therefore
hawse marks its own routes in adopted namespaces with another number.
"""
IFNAME_OPTION = "com.docker.network.endpoint.ifname"


class JoinedEndpoint(Struct, frozen=True, dict=True):
    """An endpoint of a sandbox together with its network."""

    network: NetworkRecord
    endpoint: EndpointRecord

    @cached_property
    def spec(self) -> NetworkSpec:
        """The network in the form that its driver uses."""
        return network_spec(self.network)

    def priority(self, container: ContainerRecord) -> tuple[int, Rank]:
        """Return the sort key that decides which endpoint gets the default route; the first in this order gets it.

        ``container`` is the container to which the endpoint belongs.
        """
        settings = attachment_of(container, self.network.id).settings
        return DEFAULT_ROUTE.index(self.endpoint.default_route), gateway_priority(self.network, settings.gw_priority)

    def with_ports(self, ports: Iterable[PortRecord]) -> JoinedEndpoint:
        """Return a copy of the endpoint that has the published ports ``ports``."""
        return replace(self, endpoint=replace(self.endpoint, ports=tuple(ports)))


def joining_order(networks: Iterable[NetworkRecord]) -> list[NetworkRecord]:
    """Return the networks in the order in which a starting container joins them."""
    return sorted(networks, key=gateway_priority)


def sandbox_of(container: ContainerRecord) -> Sandbox:
    """Return the container's sandbox in the form that drivers use."""
    return Sandbox(container.sandbox_id, container.sandbox_path, container.sandbox_inode)


def join(host: Host, container: ContainerRecord, member: JoinedEndpoint, numbers: Mapping[str, int]) -> EndpointRecord:
    """Create one endpoint in the sandbox; return its record with the interface name, MAC address and gateways.

    ``numbers`` has the form of `engine.names.interface_numbers`.
    """
    driver = host.driver(member.network.driver)
    network, endpoint = member.spec, endpoint_spec(member.endpoint, container)
    with translate_driver_errors():
        name = _interface_name(member.network, container, sandbox_of(container), numbers)
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
    """Remove one endpoint from the sandbox; idempotent, also after an interrupted call.

    ``alive`` is False if the sandbox no longer exists; its network namespace is then not entered.
    """
    driver = host.driver(member.network.driver)
    network, endpoint = member.spec, endpoint_spec(member.endpoint, container)
    with translate_driver_errors():
        driver.leave(network, endpoint, sandbox_of(container) if alive else None)
        driver.delete_endpoint(network, endpoint)


def remove_from_host(host: Host, ends: Iterable[tuple[ContainerRecord, JoinedEndpoint]]) -> None:
    """Unpublish the ports of endpoints whose sandboxes no longer exist, and remove the endpoints; idempotent.

    The endpoints of a driver that is a `BulkRemover` are removed together. An error for one endpoint does not prevent
    the removal of the others; the first error is raised at the end.
    """
    by_driver: dict[str, list[tuple[ContainerRecord, JoinedEndpoint]]] = {}
    for container, member in ends:
        by_driver.setdefault(member.network.driver, []).append((container, member))
    teardown(Step(name, partial(_remove_from_host, host, name, chosen)) for name, chosen in by_driver.items())


def _remove_from_host(host: Host, name: str, ends: Sequence[tuple[ContainerRecord, JoinedEndpoint]]) -> None:
    driver = host.driver(name)
    if isinstance(driver, BulkRemover):
        with translate_driver_errors():
            driver.delete_endpoints([(m.spec, endpoint_spec(m.endpoint, c)) for c, m in ends])
        return
    steps = []
    for container, member in ends:
        ports = member.endpoint.ports
        steps.append(Step("ports", partial(unpublish, host, container, member, ports, leaving=True)))
        steps.append(Step("endpoint", partial(leave, host, container, member, alive=False)))
    teardown(steps)


def admit_siblings(host: Host, members: Sequence[JoinedEndpoint]) -> None:
    """Allow a sandbox to send packets on each of its networks from its addresses on the other networks; idempotent.

    ``members`` are the sandbox's endpoints. The permission is needed when the default route moves to another network.
    Packets of open connections then leave through another interface, with their old source address.
    """
    for driver, crossings in _crossings(host, [(m, o) for m in members for o in members if m is not o]):
        with translate_driver_errors():
            driver.admit(crossings)


def dismiss_siblings(host: Host, member: JoinedEndpoint, others: Sequence[JoinedEndpoint]) -> None:
    """Forbid a leaving endpoint and the staying endpoints to send with each other's source addresses; idempotent.

    ``member`` is the endpoint that leaves the sandbox. ``others`` are the endpoints that stay. `admit_siblings` has
    allowed two kinds of packets, which are now forbidden:

    - packets on the networks of ``others`` with a source address of ``member``
    - packets on the network of ``member`` with a source address of one of ``others``
    """
    for driver, crossings in _crossings(host, [pair for o in others for pair in ((member, o), (o, member))]):
        with translate_driver_errors():
            driver.dismiss(crossings)


def dismiss_all_siblings(host: Host, sandboxes: Iterable[Sequence[JoinedEndpoint]]) -> None:
    """Forbid several sandboxes to send packets on a network with a source address of another network; idempotent.

    `admit_siblings` has allowed this. Each item of ``sandboxes`` has all endpoints of one sandbox.
    """
    pairs = [(m, o) for members in sandboxes for m in members for o in members if m is not o]
    for driver, crossings in _crossings(host, pairs):
        with translate_driver_errors():
            driver.dismiss(crossings)


def _crossings(
    host: Host, pairs: Iterable[tuple[JoinedEndpoint, JoinedEndpoint]]
) -> Iterator[tuple[Multihomed, Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]]]:
    """Yield each driver with a list of its networks and the source addresses from other networks to allow or forbid.

    A sandbox on two networks can send packets through one network with its address on the other. Each of ``pairs`` has
    two endpoints of one sandbox: the packets leave through the first endpoint, with a source address of the second. A
    pair gives one item of the list: the network of the first endpoint, and the addresses of the second endpoint. The
    caller tells the driver to allow or to forbid these source addresses. Drivers that do not implement `Multihomed` are
    left out.
    """
    by_driver: dict[str, list[tuple[NetworkSpec, Sequence[IPAddress]]]] = {}
    for member, other in pairs:
        addresses = addresses_of([other.endpoint])
        if addresses:
            by_driver.setdefault(member.network.driver, []).append((member.spec, addresses))
    for name, crossings in by_driver.items():
        driver = host.driver(name)
        if isinstance(driver, Multihomed):
            yield driver, crossings


def gateways(
    container: ContainerRecord, members: Sequence[JoinedEndpoint]
) -> tuple[JoinedEndpoint | None, JoinedEndpoint | None]:
    """Return the endpoint that has the sandbox's IPv4 default route, and the endpoint that has its IPv6 default route.

    ``members`` are the sandbox's endpoints. Each of the two results is None if the sandbox has no default route for
    that IP version.
    """
    ranked = sorted(members, key=lambda m: m.priority(container))
    able = [m for m in ranked if m.endpoint.default_route != "no"]
    best4, best6 = (next((m for m in able if _default_route(m, version)), None) for version in (4, 6))
    return best4, best6


def route(container: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Set the sandbox's default routes, which lead through the endpoints that `gateways` returns.

    Routes that other programs have set are not changed.
    """
    if container.host.network_mode == "host":
        return
    chosen, offered = _default_routes(container, members)
    with translate_driver_errors():
        kernel.set_default_routes(sandbox_of(container), chosen, offered, PROTOCOLS[container.kind])


def route_if_moved(
    old: ContainerRecord, before: Sequence[JoinedEndpoint], new: ContainerRecord, members: Sequence[JoinedEndpoint]
) -> None:
    """Set the sandbox's default routes, as `route` does, if a default route has moved to another endpoint.

    ``old`` and ``before`` are the container's record and endpoints before the container joined or left a network.
    ``new`` and ``members`` are the present ones.
    """
    held, holds = gateways(old, before), gateways(new, members)
    if [m and m.endpoint.id for m in held] != [m and m.endpoint.id for m in holds]:
        route(new, members)


def lost_routes(container: ContainerRecord, members: Sequence[JoinedEndpoint]) -> list[Difference]:
    """Return one difference for each default route that `route` has set and that the sandbox no longer has."""
    chosen, offered = _default_routes(container, members)
    return kernel.lost_default_routes(sandbox_of(container), chosen, offered, PROTOCOLS[container.kind])


def _default_routes(
    container: ContainerRecord, members: Sequence[JoinedEndpoint]
) -> tuple[Sequence[DefaultRoute], Sequence[DefaultRoute]]:
    """Return two lists: the default routes that the sandbox must have, and all default routes that its endpoints offer.

    Both lists have routes of both IP versions.
    """
    chosen = [
        replace(default_route, takes_over=m.endpoint.default_route == "yes")
        for m, version in zip(gateways(container, members), (4, 6), strict=True)
        if m is not None and (default_route := _default_route(m, version)) is not None
    ]
    offered = (_default_route(member, version) for member in members for version in (4, 6))
    return chosen, [default_route for default_route in offered if default_route is not None]


def _default_route(member: JoinedEndpoint, version: int) -> DefaultRoute | None:
    """Return the default route that an endpoint offers for an IP version, or None if it offers none.

    ``version`` is 4 or 6.
    """
    endpoint = member.endpoint
    of_family = {4: (endpoint.gateway4, endpoint.ipv4), 6: (endpoint.gateway6, endpoint.ipv6)}
    gateway, address = of_family[version]
    if gateway:
        return DefaultRoute(version, endpoint.interface, ip_address(gateway))
    return DefaultRoute(version, endpoint.interface) if endpoint.on_link and address else None


def disables_ipv6(container: ContainerRecord, *interfaces: str) -> bool:
    """Return whether the container's ``--sysctl`` settings disable IPv6 on one of ``interfaces`` (a name, or "all")."""
    sysctls = {key.replace(".", "/"): value.strip() for key, value in container.host.sysctls.items()}
    return any(sysctls.get(f"net/ipv6/conf/{interface}/disable_ipv6", "0") != "0" for interface in interfaces)


def raise_loopback(container: ContainerRecord) -> None:
    """Bring up the loopback interface of a sandbox that is on no network.

    In a sandbox that is on a network, the network's driver brings up the loopback interface.
    """
    with translate_driver_errors():
        kernel.raise_loopback(sandbox_of(container))


def publish(host: Host, container: ContainerRecord, member: JoinedEndpoint, ports: Sequence[PortRecord]) -> None:
    """Publish ports of one endpoint; does nothing if the network's driver cannot publish ports."""
    driver = host.driver(member.network.driver)
    if ports and isinstance(driver, Publisher):
        spec = endpoint_spec(member.endpoint, container)
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
    """Unpublish ports of one endpoint; idempotent. Does nothing if the network's driver cannot publish ports.

    ``leaving`` is True if the endpoint leaves the sandbox. Established connections then stay open until `leave` drops
    them.
    """
    driver = host.driver(member.network.driver)
    if ports and isinstance(driver, Publisher):
        spec = endpoint_spec(member.endpoint, container)
        with translate_driver_errors():
            bindings = _bindings(member, spec, ports)
            driver.unpublish(member.spec, spec, bindings, leaving=leaving)


def _bindings(member: JoinedEndpoint, spec: EndpointSpec, ports: Sequence[PortRecord]) -> Sequence[PortBinding]:
    """Convert ``ports``, which are published ports of the endpoint ``member``, to the form that drivers use.

    ``spec`` is the same endpoint in the form that drivers use. If ``ports`` is the endpoint's own list, the result is
    ``spec.ports``, which need no conversion.
    """
    return spec.ports if ports is member.endpoint.ports else port_bindings(ports)


def can_publish(host: Host, network: NetworkRecord) -> bool:
    """Return whether a container's ports can be published on this network."""
    return not network.internal and isinstance(host.driver(network.driver), Publisher)


# The sort key of `gateway_priority`. Its items are:
# - True if the network is internal.
# - The negated gateway priority.
# - False if the network has local scope and gateways of both IP versions, otherwise True.
# - The network's name.
Rank = tuple[bool, int, bool, str]


def gateway_priority(network: NetworkRecord, gw_priority: int = 0) -> Rank:
    """Return a network's sort key; the endpoint on the network with the lowest key gets the default route.

    ``gw_priority`` is the priority that the user gave to the endpoint on the network.
    """
    return network.internal, -gw_priority, not _leads_out_twice(network), network.name


def _leads_out_twice(network: NetworkRecord) -> bool:
    families = {":" in pool.gateway for pool in network.pools if pool.gateway and not pool.unused}
    return len(families) == 2 and network.scope == "local"


def _interface_name(
    network: NetworkRecord, container: ContainerRecord, sandbox: Sandbox, numbers: Mapping[str, int]
) -> str:
    """Return the name for the container's next interface on a network.

    If the user chose a name for this interface, that name is returned. Otherwise, the name is the network's prefix and
    a number, such as eth2. ``numbers`` maps each prefix to its counter, the next interface number. The first rule that
    applies gives the number:

    - The user chose a name for another interface of the container: the lowest number that gives a free name, as in
      Docker 28. Names that the user chose are not free.
    - hawse did not create the network namespace: the lowest number, from the counter upward, that gives a free name.
    - All other cases: the counter.
    """
    if chosen := _chosen_name(attachment_of(container, network.id)):
        return chosen
    prefix = interface_prefix(network)
    number = interface_number(numbers, prefix)
    if reserved := {name for attachment in container.attachments if (name := _chosen_name(attachment))}:
        return kernel.free_name(sandbox, prefix, 0, reserved)
    if container.kind == "adopted":
        return kernel.free_name(sandbox, prefix, number)
    return f"{prefix}{number}"


def _chosen_name(attachment: NetworkAttachment) -> str:
    """Return the interface name that the user chose for a network of the container, or "" if the user chose none."""
    return (attachment.settings.driver_opts or {}).get(IFNAME_OPTION, "")
