"""The operations of a host on its own records in the etcd store. A worker cannot change other records.

A manager runs the operations on the etcd store itself. A worker sends the operations to a manager's server. The server
reads the node id from the worker's certificate, and runs the operations for this node only. The server ignores any node
id in the arguments. Arguments and results are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from msgspec.structs import replace

from engine.cluster import keys, questions, record_checks, shared_endpoints
from engine.cluster.etcd import Client, EtcdError, delete, none_since, present, put, unchanged
from engine.cluster.etcd.http import Json
from engine.cluster.model import MANAGER, WORKER, AdmittedHost, ClusterMembership, Node, SharedEndpoint
from engine.cluster.shared_endpoints import REMOVED
from engine.cluster.shared_networks import ATTEMPTS
from engine.config import number_from_environment
from engine.errors import Conflict, Forbidden, InvalidArgument, NotFound, Unavailable
from engine.model import NetworkRecord
from engine.store.codec import decode, encode

PATH = "/hawse/"
"""URL prefix under which a manager's server offers the operations of this module."""
AUTHORITY, JOIN, CERTIFICATE = PATH + "authority", PATH + "join", PATH + "certificate"
"""The other requests to a manager's server: for the authority's certificate, to join, and for a new certificate."""
LEASE_SECONDS = 30
"""Seconds for which a host's lease is valid; HAWSE_LEASE overrides this time.

If the host does not renew the lease in time, other hosts ignore its endpoints.
"""
SHORTEST, LONGEST = 2, 300
"""Shortest and longest lease of a host, in seconds."""
MOST_ENDPOINTS = 20_000
"""Maximum number of endpoints of one worker on one network."""
MOST_LONG_NAMED, SHORT_NAMES = 1000, 512
"""A worker with `MOST_LONG_NAMED` endpoints on a network gets further endpoints only with short names.

All names of such an endpoint together have at most `SHORT_NAMES` characters. Every host stores all records, so that
long names of all endpoints would be 160 MB.
"""


def lease_seconds() -> int:
    """Return for how many seconds this host's lease is valid without renewal.

    This is the value of HAWSE_LEASE, at least `SHORTEST`; without the variable, it is `LEASE_SECONDS`.
    """
    return max(SHORTEST, number_from_environment("HAWSE_LEASE", LEASE_SECONDS))


def perform(client: Client, membership: ClusterMembership, act: str, **arguments: object) -> Json:
    """Run the operation ``act`` of `ACTS`, such as "reserve", for this host; return the operation's result.

    ``arguments`` are those that the operation's function describes. A manager runs the operation itself. A worker sends
    the operation to the manager's server to which ``client`` is connected. Raises InvalidArgument for malformed
    arguments.
    """
    if not membership.is_manager:
        return client.call(PATH + act, arguments)
    try:
        return ACTS[act](client, AdmittedHost(membership.node_id, membership.role, membership.index), arguments)
    except ValueError as error:
        raise InvalidArgument(str(error)) from error


# ------------------------------------------------------------------------------------------------ endpoints


def _reserve(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Reserve an endpoint of the host ``member`` with its addresses; return its record as ``{"endpoint": text}``.

    The argument ``endpoint`` is the record without addresses, as text. ``ipv4`` and ``ipv6`` are the requested
    addresses, or "" for the next free ones. If ``without_ipv6`` is true, the endpoint gets no IPv6 address.
    """
    endpoint, network = _writable(client, member, arguments)
    if arguments.get("without_ipv6"):
        network = replace(network, pools=tuple(pool for pool in network.pools if ":" not in pool.subnet))
    ipv4, ipv6 = (str(ip_address(arguments[f])) if arguments.get(f) else "" for f in ("ipv4", "ipv6"))
    made = shared_endpoints.reserve(client, network, replace(endpoint, ipv4="", ipv6=""), ipv4, ipv6)
    return {"endpoint": encode(made)}


def _release(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Release an endpoint of the host ``member``; return {}.

    The arguments are the ids of the network and the endpoint: ``network`` and ``endpoint``.
    """
    shared_endpoints.release(client, _id(arguments, "network"), member.id, _id(arguments, "endpoint"))
    return {}


def _restore(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Write an endpoint of the host ``member`` to etcd again after etcd has lost it; the addresses stay the same.

    Also used to change an endpoint's names. The argument ``endpoint`` is the endpoint's record as text. Returns
    ``{"done": True}``, or ``{"done": False}`` if the endpoint could not be written.
    """
    endpoint, network = _writable(client, member, arguments)
    return {"done": shared_endpoints.restore(client, network, endpoint)}


def _balancer(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Reserve the address that the host ``member`` itself has on a network; return it as ``{"address": text}``.

    The argument ``network`` is the network's id. If the host already has an address, that address is returned.
    """
    network = _usable(client, member, _id(arguments, "network"))
    return {"address": shared_endpoints.reserve_balancer(client, network, member.id)}


def _writable(
    client: Client, member: AdmittedHost, arguments: Mapping[str, Any]
) -> tuple[SharedEndpoint, NetworkRecord]:
    """Return the endpoint in the argument ``endpoint`` and its network, if the host ``member`` may write the endpoint.

    The endpoint's host is set to ``member``. Raises ValueError for an invalid record, and the errors of `_usable` and
    `_check_number`.
    """
    record = replace(decode(SharedEndpoint, str(arguments["endpoint"])), node=member.id)
    endpoint = record_checks.check_endpoint(record)
    network = _usable(client, member, endpoint.network_id)
    _check_number(client, member, network, endpoint)
    return endpoint, network


def _usable(client: Client, member: AdmittedHost, network_id: str) -> NetworkRecord:
    """Return the network ``network_id`` after checking that ``member`` may have endpoints on it.

    Managers may use any network, workers only attachable networks and ingress. Raises NotFound for an unknown network,
    and Forbidden for a network that workers must not use.
    """
    entry = client.get(keys.network(network_id))
    if entry is None:
        raise NotFound(f"network {network_id} not found")
    network = record_checks.read_network(entry.key, entry.value)
    if member.role != MANAGER and not (network.attachable or network.ingress):
        raise Forbidden(f"network {network.name} not manually attachable")
    return network


def _check_number(client: Client, member: AdmittedHost, network: NetworkRecord, endpoint: SharedEndpoint) -> None:
    """Check that the host ``member`` may write ``endpoint`` on the network; raises Forbidden if not.

    A manager may write any endpoint. The limits for a worker depend on how many other endpoints the worker already has
    on this network:

    - `MOST_LONG_NAMED` or more: all names of ``endpoint`` together may have at most `SHORT_NAMES` characters. If etcd
      already has a record of this endpoint with longer names, the new names may be as long as those.
    - `MOST_ENDPOINTS` or more: the endpoint may not be written.
    """
    if member.role != WORKER:
        return
    others = client.count(keys.endpoint(network.id, member.id, ""))
    if others < MOST_LONG_NAMED:
        return
    entry = client.get(keys.endpoint(network.id, member.id, endpoint.id))
    known = decode(SharedEndpoint, entry.value) if entry is not None else None
    if known is not None:
        others -= 1
    if others >= MOST_ENDPOINTS:
        raise Forbidden(f"node {member.id} has too many endpoints on network {network.name}")
    longest = max(SHORT_NAMES, _names_length(known) if known is not None else 0)
    if others >= MOST_LONG_NAMED and _names_length(endpoint) > longest:
        raise Forbidden(f"node {member.id} has too many endpoints with long names on network {network.name}")


def _names_length(endpoint: SharedEndpoint) -> int:
    return sum(map(len, endpoint.names))


def _id(arguments: Mapping[str, Any], name: str) -> str:
    """Return the argument ``name`` after checking that its value is an id; raises InvalidArgument if not.

    The check is needed because the id becomes part of an etcd key.
    """
    text = str(arguments[name])
    if not record_checks.ID.fullmatch(text):
        raise InvalidArgument(f"not an id: {text[:64]!r}")
    return text


# ------------------------------------------------------------------------------------------------- the host


def _publish(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Write the node record of the host ``member`` to etcd; return ``{"done": True}``.

    The argument ``node`` is the record as text. The argument ``revision`` is optional: the expected revision of the
    record in etcd. If the record has another revision, nothing is written, and the result is ``{"done": False}``.
    """
    record = replace(decode(Node, str(arguments["node"])), id=member.id, role=member.role, index=member.index)
    node = record_checks.check_node(record)
    if member.role == WORKER and ip_address(node.data_address).is_loopback:
        raise InvalidArgument(f"no other host reaches {node.data_address}")
    key = keys.node(node.id)
    for _ in range(ATTEMPTS):
        pairs, revision = client.range(keys.NODES)
        _check_unique(node, record_checks.all_readable(pairs, record_checks.read_node))
        known = next((kv.revision for kv in pairs if kv.key == key), 0)
        if "revision" in arguments and int(arguments["revision"]) != known:
            return {"done": False}
        conditions = [present(keys.member(node.id)), unchanged(key, known), none_since(keys.NODES, revision)]
        # Neither key has a lease. Therefore both keys stay when the host's lease expires.
        changes = [put(key, encode(node)), put(keys.member(node.id), encode(member))]
        if client.transact(conditions, changes).succeeded:
            return {"done": True}
        if client.get(keys.member(node.id)) is None:
            raise Unavailable(REMOVED)
    raise Unavailable("the cluster's store is too busy")


def _check_unique(node: Node, others: list[Node]) -> None:
    """Check that no other node has the node's WireGuard key; raises Conflict if one has it.

    The key must be unique, because WireGuard sends the packets for a key to one host only.
    """
    if node.wireguard_key and any(o.wireguard_key == node.wireguard_key for o in others if o.id != node.id):
        raise Conflict("the tunnel's key is another node's")


def _renew_lease(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Renew the lease of the host ``member``, or create a new one; return ``{"lease": id}``.

    The argument ``lease`` is the id of the lease that the host has. ``seconds`` is the duration of a new lease. A new
    lease is created if ``lease`` is not the id of the host's present lease in etcd, or if the present lease has
    expired. Raises Unavailable if a manager has removed the host.
    """
    seconds = min(max(int(arguments["seconds"]), SHORTEST), LONGEST)
    key = keys.alive(member.id)
    known = client.get(key)
    held = int(known.value) if known and known.value.isdigit() else 0
    if held and str(held) == arguments.get("lease") and client.renew(held):
        return {"lease": str(held)}
    lease = client.grant(seconds)
    conditions = [present(keys.member(member.id)), present(keys.node(member.id))]
    if not client.transact(conditions, [put(key, str(lease), lease)]).succeeded:
        client.revoke(lease)
        raise Unavailable(REMOVED)
    if held:
        with suppress(EtcdError):  # ignore the error: the lease has already expired
            client.revoke(held)
    return {"lease": str(lease)}


def _leave(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """End the membership of the host ``member``; return {}.

    The host's node record remains in etcd, shown as down, until a manager removes the record. If the host was a
    manager, the role in the record becomes worker. The record loses the WireGuard key, so that the other hosts remove
    their tunnels to the host.
    """
    changes = [delete(keys.alive(member.id)), delete(keys.member(member.id))]
    entry = client.get(keys.node(member.id))
    for node in record_checks.all_readable([entry] if entry else [], record_checks.read_node):
        changes.append(put(keys.node(member.id), encode(replace(node, role=WORKER, wireguard_key=""))))
    client.transact([], changes)
    return {}


ACTS: Mapping[str, Callable[[Client, AdmittedHost, Mapping[str, Any]], Json]] = {
    "reserve": _reserve,
    "release": _release,
    "restore": _restore,
    "balancer": _balancer,
    "publish": _publish,
    "beat": _renew_lease,
    "leave": _leave,
    "ask": questions.ask,
    "answer": questions.answer,
}
