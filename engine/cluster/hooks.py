"""The additional steps of commands on networks and endpoints if the host is in a cluster.

On a host in no cluster, each function returns at once. This module only calls the steps in order. The code that changes
records in etcd is in `shared_networks` and `shared_endpoints`. The code that changes this host's copies of the records
is in `local_networks`.

The gateway bridge, docker_gwbridge, connects containers on overlay networks to external networks. It is an ordinary
bridge network without communication between its containers. A sandbox joins the gateway bridge while it has a
non-internal overlay network and no other network with a gateway. The record of a container does not list the gateway
bridge, so inspect does not show the bridge among its networks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from msgspec.structs import replace

from drivers.api import PeerProgrammer, TunnelGuard
from drivers.linux import process
from drivers.registry import available, facts
from drivers.sandbox import disables_ipv6
from engine import names
from engine.agent.client import ensure
from engine.api import Created, Json
from engine.cluster import encryption, keys, local_networks, node_operations, peers, shared_networks, snapshot
from engine.cluster import membership as memberships
from engine.cluster.local_networks import NETWORKS_LOCK, SWARM, deactivate_if_unused
from engine.cluster.membership import connected, managing
from engine.cluster.model import SharedEndpoint
from engine.cluster.network_request import check_name, new_record
from engine.cluster.render import completed
from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, Unavailable, hinted
from engine.host import Host, network_spec, translate_driver_errors
from engine.ipam import IPAddress
from engine.model import FORMER, ContainerRecord, EndpointRecord, NetworkAttachment, NetworkCreate, NetworkRecord
from engine.store.codec import decode, encode
from engine.store.locks import locked
from engine.validate.network import NOT_IN_SWARM, check_network_create, network_name_taken

if TYPE_CHECKING:
    from engine.cluster.etcd import Client
    from engine.cluster.model import ClusterMembership
    from engine.cluster.snapshot import View

GATEWAY_BRIDGE = "docker_gwbridge"


def is_cluster_network(host: Host, request: NetworkCreate) -> bool:
    """Return whether the network that the user wants to create is a cluster network.

    The result is False on a host in no cluster. The caller then refuses a request for an overlay network.
    """
    wide = request.driver == "overlay" or request.scope == SWARM
    return wide and not request.config_only and host.is_clustered


def ensure_agent(host: Host) -> None:
    """Start the agent if this host is in a cluster and the agent is not running; an OSError is ignored.

    The agent must run, because it renews this host's lease.
    """
    if host.is_clustered:
        with suppress(OSError):
            ensure(host.run, host.root)


def wait_for_store(host: Host, timeout: float = 15.0) -> None:
    """Wait up to ``timeout`` seconds until the etcd store answers; also start the agent if no agent is running.

    The wait is needed after a reboot, because the agent first has to start this host's etcd member. Raises no error if
    the store does not answer in time. Does nothing on a host in no cluster.
    """
    try:
        if memberships.load(host.root) is None:
            return
    except Unavailable:  # the membership is from another version of hawse: do not wait
        return
    ensure_agent(host)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            with connected(host) as (client, _):
                client.count(keys.CLUSTER)
                return
        except EngineError:
            time.sleep(0.2)


def create_network(host: Host, request: NetworkCreate) -> Created:
    """Create a cluster network in the etcd store; raises Unavailable unless this host is a manager.

    The kernel is not changed until a container uses the network.
    """
    with managing(host, NOT_IN_SWARM) as (client, membership):
        record = _checked(host, request, shared_networks.all_networks(client))
        record = shared_networks.create(client, record)
        local_networks.import_network(host, record, membership)
    return Created(record.id)


def _checked(host: Host, request: NetworkCreate, shared: Sequence[NetworkRecord]) -> NetworkRecord:
    with host.store.read() as reader:
        existing = reader.networks()
    if any(n.name == request.name for n in [*existing, *shared]):
        raise network_name_taken(request.name)
    if request.ingress and request.attachable:
        raise InvalidArgument("rpc error: code = InvalidArgument desc = ingress network cannot be attachable")
    if request.name.strip():
        check_name(request.name)
    ingress = next((n for n in shared if n.ingress), None)
    if request.ingress and ingress is not None:
        raise Conflict(f"rpc error: code = AlreadyExists desc = ingress network ({ingress.id}) is already present")
    request = check_network_create(request, existing, available(), clustered=True)
    record = new_record(request)

    with translate_driver_errors():
        host.driver(record.driver).check_network(network_spec(record), [])
    return record


def remove_network(host: Host, record: NetworkRecord) -> None:
    """Remove a cluster network; raises Forbidden if an endpoint of any host uses it.

    Raises Unavailable unless this host is a manager.
    """
    with managing(host) as (client, _):
        shared_networks.remove(client, record)
    local_networks.delete_copy(host, record.id)


def import_network(host: Host, reference: str, *, attach: bool = True) -> None:
    """Record a cluster network on this host, so that the caller finds the network in the local store.

    ``reference`` is the network's name or id. ``attach`` says what the caller will do:

    - True: attach a container. Raises NotFound if neither the host nor the cluster has the network. Raises Forbidden if
      the network is not attachable. Both errors have Docker's messages.
    - False: remove the network. A worker records nothing, because only managers remove networks.
    """
    if not host.is_clustered:
        return
    with host.store.read() as reader:
        networks = reader.find_networks(reference)
    if networks and networks[0].scope != SWARM:
        return
    membership = memberships.load(host.root)
    if membership is None or not (attach or membership.is_manager):
        return
    if not networks and reference:
        with connected(host) as (client, _):
            networks = shared_networks.find(client, reference)
    if attach and not networks:
        raise NotFound(
            f"Could not attach to network {reference}: rpc error: code = NotFound desc = network {reference} not found"
        )
    if attach:
        _check_attachable(networks[0])
    with host.store.read() as reader:
        known = reader.network(networks[0].id) if networks else None
    if len(networks) == 1 and known is None:
        local_networks.import_network(host, networks[0], membership)


def _check_attachable(record: NetworkRecord) -> None:
    """Check that containers may join a network; raises Forbidden for a cluster network without ``--attachable``."""
    if record.scope == SWARM and not record.attachable:
        refusal = Forbidden(
            f"Could not attach to network {record.name}: rpc error: code = PermissionDenied "
            f"desc = network {record.name} not manually attachable"
        )
        raise hinted(refusal, "Containers can join an overlay network that was created with --attachable")


def check_used_here(host: Host, record: NetworkRecord) -> None:
    """Check that a cluster network has an endpoint on this host; raises NotFound, as Docker does, if it has none.

    A network that is not a cluster network is not checked.
    """
    if record.scope == SWARM:
        with host.store.read() as reader:
            if not reader.endpoints(network_id=record.id):
                raise NotFound(f"network {record.name} not found")


def after_activate(host: Host, record: NetworkRecord) -> None:
    """Write the endpoints of other hosts to this host's FDB and neighbour tables, after a network was activated here.

    To activate a network is to create its kernel objects on this host. Does nothing for a network that is not a cluster
    network.
    """
    driver = host.driver(record.driver)
    if record.scope != SWARM or not isinstance(driver, PeerProgrammer):
        return
    with peers.programming(host.run), connected(host) as (client, membership), translate_driver_errors():
        seen = snapshot.load(client)
        driver.program_peers(
            encryption.spec(record, membership, seen.nodes.values()), peers.of(seen, record.id, membership.node_id)
        )


def add_cluster_fields(host: Host, record: NetworkRecord, document: Json) -> Json:
    """Return ``document``, a network's inspect document, with the fields of a cluster network.

    For a network that is not a cluster network, ``document`` is returned unchanged. `completed` describes the fields.
    Examples are ``Peers``, the hosts that use the network, and this host's own entry in ``Containers``.
    """
    if record.scope != SWARM:
        return document

    view, membership = current_view(host)
    return completed(document, record, view, membership)


def used_addresses(host: Host, record: NetworkRecord) -> list[IPAddress]:
    """Return the addresses of a cluster network that are reserved or in use on any host; [] for any other network.

    Gateways and auxiliary addresses are reserved. The addresses in use are read from the etcd store. If the store does
    not answer, they come from the snapshot that this host saved last.
    """
    if record.scope != SWARM:
        return []
    view, _ = current_view(host)
    reserved = [ip_address(a) for p in record.pools for a in (p.gateway, *p.aux_addresses.values()) if a]
    return [*reserved, *(view.addresses(record.id) if view is not None else ())]


def current_view(host: Host) -> tuple[View | None, ClusterMembership | None]:
    """Return the current snapshot of the etcd store's records and this host's membership.

    If the store does not answer, the result has the snapshot that was last saved on disk, or None without such a file.
    The membership is None on a host in no cluster.
    """
    try:
        with connected(host) as (client, membership):
            return snapshot.load(client), membership
    except EngineError:
        return snapshot.saved(host.root), memberships.load(host.root)


@contextmanager
def reserve_endpoints(
    host: Host, container: ContainerRecord, networks: Sequence[NetworkRecord]
) -> Iterator[Mapping[str, EndpointRecord]]:
    """Reserve a container's endpoints on the cluster networks among ``networks``.

    Yields the endpoints by network id. Inside the ``with`` block, the caller records the endpoints in the local store
    and activates the endpoints' networks. If the block fails, all reservations are released. `NETWORKS_LOCK` is held
    during the block.
    """
    shared = [n for n in networks if n.scope == SWARM]
    if not shared:
        yield {}
        return

    with host.store.read() as reader:
        former = {e.network_id: e for e in reader.endpoints(container_id=container.id) if e.phase == FORMER}
    made: list[SharedEndpoint] = []
    try:
        with connected(host) as (client, membership):
            for network in shared:
                _check_attachable(network)
                _shut(host, network)
                made.append(_reserve(client, membership, container, network, former.get(network.id)))
        with locked(host.run, *NETWORKS_LOCK):
            _import_again(host, shared, membership)
            yield {e.network_id: _record(e) for e in made}
    except BaseException:
        with suppress(EngineError), connected(host) as (client, membership):
            for endpoint in made:
                node_operations.perform(
                    client, membership, "release", network=endpoint.network_id, endpoint=endpoint.id
                )
        for network in shared:
            deactivate_if_unused(host, network.id)
        raise


def _shut(host: Host, network: NetworkRecord) -> None:
    """Make the driver block the network's VXLAN packets, except from hosts that are in this host's peer tables.

    The peer tables (FDB and neighbour tables) list the endpoints of other hosts. VXLAN packets that arrive from a
    bridge of this host are always blocked, because a container may have forged them.

    Other hosts accept VXLAN packets from this host as soon as this host has an endpoint on the network. From then on,
    this host must not let through forged packets. Therefore the caller reserves an endpoint only after this call.
    """
    driver = host.driver(network.driver)
    if isinstance(driver, TunnelGuard):
        with translate_driver_errors():
            driver.shut(network_spec(network))


def _import_again(host: Host, networks: Sequence[NetworkRecord], membership: ClusterMembership) -> None:
    """Restore the records of ``networks`` in the local store, if another command has deleted them.

    A command deletes the record of a cluster network when no endpoint on this host uses the network any more.
    """
    with host.store.read() as reader:
        dropped = [n for n in networks if reader.network(n.id) is None]
    for network in dropped:
        local_networks.import_network(host, network, membership)


def _record(endpoint: SharedEndpoint) -> EndpointRecord:
    """Convert a reserved endpoint of this host from the etcd store's record to a record of the local store."""
    remote = snapshot.record_of(endpoint)
    return replace(remote, container_id=endpoint.container_id, phase="reserved", granted=True)


def _reserve(
    client: Client,
    membership: ClusterMembership,
    container: ContainerRecord,
    network: NetworkRecord,
    former: EndpointRecord | None,
) -> SharedEndpoint:
    """Reserve an endpoint of ``container`` on ``network``; return its record in the etcd store.

    ``former`` is the container's endpoint of an earlier run (phase `FORMER`), or None. It is released first. The new
    endpoint gets the same addresses, if they are still free and the user has requested no others.
    """
    settings = attachment(container, network).settings
    ipam = settings.ipam
    endpoint = SharedEndpoint(
        id=names.generate_id(),
        network_id=network.id,
        container_id=container.id,
        node=membership.node_id,
        mac=names.parse_mac(settings.mac_address) if settings.mac_address else names.random_mac(),
        names=tuple(names.served_names(container, settings)),
        owner=process.identity(),
    )
    ipv4, ipv6 = (ipam.ipv4, ipam.ipv6) if ipam else ("", "")
    without_ipv6 = disables_ipv6(settings.driver_opts or {})

    def reserve(ipv4: str, ipv6: str) -> SharedEndpoint:
        arguments = {"endpoint": encode(endpoint), "ipv4": ipv4, "ipv6": ipv6, "without_ipv6": without_ipv6}
        made = node_operations.perform(client, membership, "reserve", **arguments)
        return decode(SharedEndpoint, made["endpoint"])

    if former is not None:
        node_operations.perform(client, membership, "release", network=network.id, endpoint=former.id)
        with suppress(Forbidden):  # another host may have one of the addresses now
            return reserve(ipv4 or former.ipv4.partition("/")[0], ipv6 or former.ipv6.partition("/")[0])
    return reserve(ipv4, ipv6)


def attachment(container: ContainerRecord, network: NetworkRecord) -> NetworkAttachment:
    """Return the container's settings for a network, which its record names by id or by name."""
    return next(
        a for a in container.attachments if network.id == a.network_id or a.network in (network.name, network.id)
    )


def release_endpoint(host: Host, network: NetworkRecord, endpoint: EndpointRecord) -> None:
    """Release an endpoint in the etcd store. If the store is unreachable, the agent releases the endpoint later.

    If no endpoint on this host uses the network any more, this host's kernel objects of the network are deleted too.
    Does nothing for a network that is not a cluster network.
    """
    if network.scope != SWARM:
        return

    with suppress(EngineError), connected(host) as (client, membership):
        node_operations.perform(client, membership, "release", network=network.id, endpoint=endpoint.id)
    deactivate_if_unused(host, network.id)


def is_gateway(network: NetworkRecord) -> bool:
    """Return whether a network is the gateway bridge."""
    return network.name == GATEWAY_BRIDGE and network.driver == "bridge"


def concerns_gateway(joined: Iterable[NetworkRecord]) -> bool:
    """Return whether a sandbox on the networks ``joined`` may have to join or leave the gateway bridge."""
    return any(n.driver == "overlay" or is_gateway(n) for n in joined)


def needs_gateway(joined: Sequence[NetworkRecord]) -> bool:
    """Return whether a sandbox on the networks ``joined`` needs the gateway bridge."""
    outward = [n for n in joined if not n.internal and not is_gateway(n)]
    return any(n.driver == "overlay" for n in outward) and not any(facts(n.driver).offers_gateway for n in outward)


def shown_name(network: NetworkRecord, container: ContainerRecord) -> str:
    """Return the endpoint name that the command inspect shows for a container on ``network``.

    On the gateway bridge, the name is built from the sandbox id. On other networks, it is the container's name.
    """
    return f"gateway_{names.short_id(container.sandbox_id)}" if is_gateway(network) else container.name
