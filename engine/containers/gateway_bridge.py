"""Add sandboxes to the gateway bridge, or remove them from it.

The gateway bridge (docker_gwbridge, see `engine.cluster.hooks`) connects containers on cluster networks to the
outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Interface, ip_network

from msgspec.structs import replace

from engine import names
from engine.cluster.hooks import GATEWAY_BRIDGE, is_gateway, needs_gateway
from engine.cluster.local_networks import INGRESS_SANDBOX
from engine.containers import port_assignment
from engine.endpoints import reservation, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import KernelFailure
from engine.host import Host, attachment_of
from engine.model import (
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    NetworkAttachment,
    NetworkCreate,
    NetworkRecord,
)
from engine.networks import activate, create
from engine.store.api import Reader, Transaction

OPTIONS = {
    "com.docker.network.bridge.enable_icc": "false",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.name": GATEWAY_BRIDGE,
}


def recorded_bridge(host: Host) -> NetworkRecord:
    """Create the gateway bridge if this host has no record of it, and return its network record.

    As in Docker, one of its addresses is reserved for the ingress sandbox. The ingress sandbox is Docker's sandbox for
    service traffic; hawse has no such sandbox. If no address is free, none is reserved.
    """
    with host.store.read() as reader:
        known = bool(reader.find_networks(GATEWAY_BRIDGE))
    if not known:
        create.create(host, NetworkCreate(GATEWAY_BRIDGE, options=OPTIONS))
    with host.store.write() as tx:
        network = tx.find_networks(GATEWAY_BRIDGE)[0]
        if network.ipam_options is not None:  # inspect must show no IPAM options, as for predefined networks
            tx.put_network(replace(network, ipam_options=None))
        if not any(e.container_id == INGRESS_SANDBOX for e in tx.endpoints(network_id=network.id)):
            _put_ingress_endpoint(tx, network)
    return network


def _put_ingress_endpoint(tx: Transaction, network: NetworkRecord) -> None:
    """Record an endpoint of the ingress sandbox on ``network``, the gateway bridge.

    The ingress sandbox is Docker's sandbox for service traffic; hawse only reserves an address for it. The address is
    the second host address of the first IPv4 subnet, such as 172.18.0.2. If that address is in use, it is the lowest
    free IPv4 address. If no IPv4 address is free, nothing is recorded.
    """
    endpoint_id, subnets = names.generate_id(), [ip_network(pool.subnet) for pool in network.pools]
    second = next((str(s.network_address + 2) for s in subnets if s.version == 4), "")
    with suppress(KernelFailure):  # all addresses are in use
        address = reservation.allocate_in_pools(tx, network, 4, "", endpoint_id, second)
        if address:
            mac = names.mac_from_ipv4(IPv4Interface(address).ip)
            tx.put_endpoint(EndpointRecord(endpoint_id, network.id, INGRESS_SANDBOX, mac, ipv4=address, phase="live"))


def release_ingress_address(host: Host) -> None:
    """Release the address of the gateway bridge that is reserved for the ingress sandbox.

    Called when the host leaves its cluster.
    """
    with host.store.write() as tx:
        for endpoint in [e for e in tx.endpoints() if e.container_id == INGRESS_SANDBOX]:
            tx.delete_endpoint(endpoint.id)


def active_bridge(host: Host) -> NetworkRecord:
    """Create the gateway bridge as `recorded_bridge` does, and return its network record.

    Unlike `recorded_bridge`, also creates the gateway bridge in the kernel if a reboot has removed it.
    """
    return activate.activate(host, recorded_bridge(host).id)


def reserve(
    tx: Transaction, container: ContainerRecord, network: NetworkRecord, former: EndpointRecord | None = None
) -> JoinedEndpoint:
    """Reserve an endpoint without DNS names on the gateway bridge ``network`` for a container.

    ``former`` is the container's endpoint in its last run, or None. The addresses of ``former`` are used again if they
    are free.
    """
    attachment = NetworkAttachment("", EndpointSettings(default_route=_default_route(tx, container)), network.id)
    return JoinedEndpoint(network, replace(reservation.reserve(tx, network, container, attachment, former), names=()))


def _default_route(reader: Reader, container: ContainerRecord) -> str:
    """Return the ``default_route`` setting ("yes", "no" or "") of the container's endpoint on the gateway bridge.

    The result depends on the ``default_route`` settings of the container's cluster networks:

    - "yes" if at least one of them is "yes"
    - "no" if all of them are "no"
    - "" in all other cases
    """
    attached = [(reader.network(a.network_id), a.settings.default_route) for a in container.attachments]
    answers = {word for network, word in attached if network is not None and network.scope == "swarm"}
    return "yes" if "yes" in answers else "no" if answers == {"no"} else ""


def sync_gateway_bridge(
    host: Host, container: ContainerRecord, members: Sequence[JoinedEndpoint], numbers: Mapping[str, int]
) -> tuple[list[JoinedEndpoint], Mapping[str, int]]:
    """Connect a running container to the gateway bridge, or disconnect it, as its other networks require.

    A container needs it if it is on a cluster network and no other network leads to the outside. An endpoint on the
    gateway bridge that a killed command was adding or removing is replaced.

    ``members`` are the container's endpoints. ``numbers`` has the form of `names.interface_numbers`. Returns the
    endpoints and the numbers after the change.
    """
    gateway = next((m for m in members if is_gateway(m.network) and _unnamed(container, m)), None)
    joined = [m for m in members if m is not gateway]
    bridge = active_bridge(host) if needs_gateway([m.network for m in joined]) else None
    if gateway is not None:
        if bridge is not None and gateway.endpoint.phase == "live":
            return list(members), numbers
        reservation.release_endpoint(host, container, gateway, joined, alive=True)
    if bridge is not None:
        joined.append(_join(host, container, bridge, numbers))
        sandbox.admit_siblings(host, joined)
        numbers = names.count_interfaces(numbers, bridge)
    if gateway is not None and gateway.endpoint.ports:
        port_assignment.reassign_ports(host, container, joined, gateway.endpoint.ports)
        joined = reservation.memberships(host, container.id)
    return joined, numbers


def _unnamed(container: ContainerRecord, member: JoinedEndpoint) -> bool:
    return attachment_of(container, member.network.id).network == ""


def _join(host: Host, container: ContainerRecord, bridge: NetworkRecord, numbers: Mapping[str, int]) -> JoinedEndpoint:
    with host.store.write() as tx:
        member = reserve(tx, container, bridge)
        tx.put_endpoint(member.endpoint)
    live = replace(sandbox.join(host, container, member, numbers), phase="live")
    with host.store.write() as tx:
        tx.put_endpoint(live)
        stored = tx.container(container.id)
        # Store now which interface numbers are used. If this command fails later, the next command must use a new one.
        if stored is not None:
            tx.put_container(replace(stored, next_interfaces=names.count_interfaces(numbers, bridge)))
    return replace(member, endpoint=live)
