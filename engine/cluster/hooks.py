"""What the engine's verbs ask of the cluster: called wherever a network spans hosts, and cheap where none does.

Sequence only: the shared part is in `shared_networks` and `shared_endpoints`, this host's copy in `mirror`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from drivers.linux import process
from engine.api import Created, Json
from engine.cluster import local_networks
from engine.cluster import membership as memberships
from engine.cluster.local_networks import NETWORKS_LOCK, SWARM
from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, Unavailable
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, NetworkAttachment, NetworkCreate, NetworkRecord
from engine.store.locks import LOCK_TIMEOUT_SECONDS, locked

if TYPE_CHECKING:
    from engine.cluster.etcd import Client
    from engine.cluster.model import ClusterMembership, SharedEndpoint
    from engine.cluster.snapshot import View

NOT_IN_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
    "to connect this node to swarm and try again."
)
WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)


def is_cluster_network(host: Host, request: NetworkCreate) -> bool:
    """Whether a network to be created is the cluster's; False on a host without one, where it is then refused."""
    wide = request.driver == "overlay" or request.scope == SWARM
    return wide and not request.config_only and is_member(host)


def is_member(host: Host) -> bool:
    """Whether this host is in a cluster."""
    return memberships.exists(host.root)


@contextmanager
def connected(host: Host) -> Iterator[tuple[Client, ClusterMembership]]:
    """A client of the cluster's store; raises Docker's text where this host is in no cluster."""
    found = memberships.load(host.root)
    if found is None:
        raise Unavailable(NOT_IN_SWARM)
    client = memberships.open_client(host.root, found)
    try:
        yield client, found
    finally:
        client.close()


@contextmanager
def managing(host: Host, refusal: str = WORKER) -> Iterator[tuple[Client, ClusterMembership]]:
    """The same on managers alone."""
    with connected(host) as (client, found):
        if not found.is_manager:
            raise Unavailable(refusal)
        yield client, found


def keep_agent(host: Host) -> None:
    """Start the agent of a host that is in a cluster, where it does not run: it keeps the host's lease."""
    if memberships.exists(host.root):
        from engine.agent.client import ensure

        with suppress(OSError):
            ensure(host.run, host.root)


def wait_for_store(host: Host, patience: float = 15.0) -> None:
    """After a reboot, wait until the cluster's store answers, that is until the agent has started it."""
    try:
        if memberships.load(host.root) is None:
            return
    except Unavailable:  # it is of another version of hawse, and no store is to be expected
        return
    keep_agent(host)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            with connected(host) as (client, _):
                client.count("/hawse/shared/cluster")
                return
        except EngineError:
            time.sleep(0.2)


# ------------------------------------------------------------------------------------------------- networks


def create(host: Host, request: NetworkCreate) -> Created:
    """Create a network of the cluster; nothing happens in the kernel before it is used."""
    from engine.cluster import shared_networks

    with managing(host, NOT_IN_SWARM) as (client, me):
        record = _checked(host, request, shared_networks.all_networks(client))
        record = shared_networks.create(client, record)
        local_networks.import_network(host, record, me)
    return Created(record.id)


def _checked(host: Host, request: NetworkCreate, shared: Sequence[NetworkRecord]) -> NetworkRecord:
    from drivers.registry import available
    from engine.cluster.network_request import check_name, new_record
    from engine.validate.network import check_network_create, network_name_taken

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
    from engine.dispatch.errors import translate_driver_errors
    from engine.dispatch.specs import network_spec

    with translate_driver_errors():
        host.driver(record.driver).check_network(network_spec(record), [])
    return record


def remove(host: Host, record: NetworkRecord) -> None:
    """Remove a network of the cluster that nobody uses on any host."""
    from engine.cluster import shared_networks

    with managing(host) as (client, _):
        shared_networks.remove(client, record)
    local_networks.delete_planned(host, record.id)


def import_network(host: Host, reference: str, *, attach: bool = True) -> None:
    """Make a network of the cluster known here before it is looked up, to ``attach`` a container or to remove it.

    Docker's text where it takes no containers, and for one to attach to that neither host nor cluster has. Workers
    can't see what they don't use, so can't remove it either.
    """
    if not memberships.exists(host.root):
        return
    with host.store.read() as reader:
        found = reader.find_networks(reference)
    if found and found[0].scope != SWARM:
        return
    me = memberships.load(host.root)
    if me is None or not (attach or me.is_manager):
        return
    if not found and reference:
        found = _shared(host, reference)
    if attach and not found:
        raise NotFound(
            f"Could not attach to network {reference}: rpc error: code = NotFound desc = network {reference} not found"
        )
    if attach:
        _check_attachable(found[0])
    with host.store.read() as reader:
        known = reader.network(found[0].id) if found else None
    if len(found) == 1 and known is None:
        local_networks.import_network(host, found[0], me)


def _shared(host: Host, reference: str) -> list[NetworkRecord]:
    from engine.cluster import shared_networks

    with connected(host) as (client, _):
        return shared_networks.find(client, reference)


def _check_attachable(record: NetworkRecord) -> None:
    if record.scope == SWARM and not record.attachable:
        raise Forbidden(
            f"Could not attach to network {record.name}: rpc error: code = PermissionDenied "
            f"desc = network {record.name} not manually attachable"
        )


def check_used_here(host: Host, record: NetworkRecord) -> None:
    """Refuse, as Docker does, to find a network of the cluster that no container of this host is on."""
    if record.scope == SWARM:
        with host.store.read() as reader:
            if not reader.endpoints(network_id=record.id):
                raise NotFound(f"network {record.name} not found")


def after_activate(host: Host, record: NetworkRecord) -> None:
    """Tell the driver of a network that has just come up where the endpoints of other hosts are."""
    from drivers.api import PeerProgrammer
    from engine.cluster import encryption, peers, snapshot
    from engine.dispatch.errors import translate_driver_errors

    driver = host.driver(record.driver)
    if record.scope != SWARM or not isinstance(driver, PeerProgrammer):
        return
    with peers.programming(host.run), connected(host) as (client, me), translate_driver_errors():
        seen = snapshot.load(client)
        driver.program_peers(encryption.spec(record, me, seen.nodes.values()), peers.of(seen, record.id, me.node_id))


def deactivate_if_unused(host: Host, network_id: str, patience: float = LOCK_TIMEOUT_SECONDS) -> None:
    """Take a network's kernel objects away from this host once no endpoint here needs them."""
    with locked(host.run, *NETWORKS_LOCK, patience):
        with host.store.read() as reader:
            record = reader.network(network_id)
            used = bool(reader.endpoints(network_id=network_id))
        if record is None or used:
            return
        local_networks.delete_local(host, record)
        me = memberships.load(host.root)
        with host.store.write() as tx:
            if (me is not None and me.is_manager) or record.ingress:
                tx.put_network(replace(record, phase="planned"))
            else:
                tx.delete_network(network_id)


def deactivate_all_unused(host: Host, patience: float) -> bool:
    """Do so with all networks that commands which were killed have left up; whether there were any.

    Waits no longer than ``patience`` seconds for commands at work; then it raises `Unavailable`.
    """
    with host.store.read() as reader:
        used = {e.network_id for e in reader.endpoints()}
        left = [n.id for n in reader.networks() if n.scope == SWARM and n.phase == "live" and n.id not in used]
    for network_id in left:
        deactivate_if_unused(host, network_id, patience)
    return bool(left)


# ------------------------------------------------------------------------------------------------ endpoints


@contextmanager
def reserve_endpoints(
    host: Host, container: ContainerRecord, networks: Sequence[NetworkRecord]
) -> Iterator[Mapping[str, EndpointRecord]]:
    """Reserve a container's endpoints on those of ``networks`` that span hosts, by network id.

    Inside the block they are to be recorded in the host's own store, with their networks brought up; when it fails,
    all of it is given back.
    """
    shared = [n for n in networks if n.scope == SWARM]
    if not shared:
        yield {}
        return
    from engine.cluster import node_operations

    made: list[SharedEndpoint] = []
    try:
        with connected(host) as (client, me):
            for network in shared:
                _check_attachable(network)
                _shut(host, network)
                made.append(_reserve(client, me, container, network))
        with locked(host.run, *NETWORKS_LOCK):
            _import_again(host, shared, me)
            yield {e.network_id: _record(e) for e in made}
    except BaseException:
        with suppress(EngineError), connected(host) as (client, me):
            for endpoint in made:
                node_operations.perform(client, me, "release", network=endpoint.network_id, endpoint=endpoint.id)
        for network in shared:
            deactivate_if_unused(host, network.id)
        raise


def _shut(host: Host, network: NetworkRecord) -> None:
    """Have the driver keep containers' packets out of the network's tunnels.

    The other hosts accept this host's packets as soon as the endpoint is reserved.
    """
    from drivers.api import TunnelGuard
    from engine.dispatch.errors import translate_driver_errors
    from engine.dispatch.specs import network_spec

    driver = host.driver(network.driver)
    if isinstance(driver, TunnelGuard):
        with translate_driver_errors():
            driver.shut(network_spec(network))


def _import_again(host: Host, networks: Sequence[NetworkRecord], me: ClusterMembership) -> None:
    """Make networks known again that another command has dropped since they were looked up, for nobody used them."""
    with host.store.read() as reader:
        dropped = [n for n in networks if reader.network(n.id) is None]
    for network in dropped:
        local_networks.import_network(host, network, me)


def _record(endpoint: SharedEndpoint) -> EndpointRecord:
    return EndpointRecord(
        id=endpoint.id,
        network_id=endpoint.network_id,
        container_id=endpoint.container_id,
        mac=endpoint.mac,
        ipv4=endpoint.ipv4,
        ipv6=endpoint.ipv6,
        names=endpoint.names,
        granted=True,
    )


def _reserve(
    client: Client, me: ClusterMembership, container: ContainerRecord, network: NetworkRecord
) -> SharedEndpoint:
    from engine import names
    from engine.cluster import node_operations
    from engine.cluster.model import SharedEndpoint
    from engine.store.codec import decode, encode

    settings = attachment(container, network).settings
    wanted = settings.ipam
    endpoint = SharedEndpoint(
        id=names.generate_id(),
        network_id=network.id,
        container_id=container.id,
        node=me.node_id,
        mac=names.parse_mac(settings.mac_address) if settings.mac_address else names.random_mac(),
        names=names.dns_names(container, settings),
        owner=process.identity(),
    )
    ipv4, ipv6 = (wanted.ipv4, wanted.ipv6) if wanted else ("", "")
    made = node_operations.perform(client, me, "reserve", endpoint=encode(endpoint), ipv4=ipv4, ipv6=ipv6)
    return decode(SharedEndpoint, made["endpoint"])


def attachment(container: ContainerRecord, network: NetworkRecord) -> NetworkAttachment:
    """The container's configuration for a network, found by id or name."""
    return next(
        a for a in container.attachments if network.id == a.network_id or a.network in (network.name, network.id)
    )


def release_endpoint(host: Host, network: NetworkRecord, endpoint: EndpointRecord) -> None:
    """Tell the cluster that an endpoint has gone; while the store is away, the agent does it afterwards."""
    if network.scope != SWARM:
        return
    from engine.cluster import node_operations

    with suppress(EngineError), connected(host) as (client, me):
        node_operations.perform(client, me, "release", network=network.id, endpoint=endpoint.id)
    deactivate_if_unused(host, network.id)


# ------------------------------------------------------------------------------------------------ inspection


def add_cluster_fields(host: Host, record: NetworkRecord, document: Json) -> Json:
    """The document of a network with what the cluster knows of it."""
    if record.scope != SWARM:
        return document
    from engine.cluster.render import completed as complete

    view, me = current_view(host)
    return complete(document, record, view, me)


def current_view(host: Host) -> tuple[View | None, ClusterMembership | None]:
    """What is known of the cluster: from the store, else as it was kept last."""
    from engine.cluster import snapshot

    try:
        with connected(host) as (client, me):
            return snapshot.load(client), me
    except EngineError:
        return snapshot.saved(host.root), memberships.load(host.root)
