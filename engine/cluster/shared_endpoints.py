"""Endpoints and their addresses in etcd. Each address is one key, so that two hosts cannot allocate the same address.

Addresses are allocated in ascending order and then from the start again, so that a released address stays unused as
long as possible. The record of an endpoint remains when its host's lease expires. Therefore a host that was only
disconnected still owns its addresses when it returns. Readers ignore the endpoints of hosts without a lease.

Only managers run this code, for themselves or for a worker. Each change affects only the records of one host.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from msgspec.structs import replace

from engine.cluster import keys, record_checks
from engine.cluster.addressing import NO_ADDRESS, is_usable, pick_address, pools_for_endpoint
from engine.cluster.etcd import Client, KeyValue, absent, delete, present, put, unchanged
from engine.cluster.model import SharedEndpoint
from engine.cluster.shared_networks import ATTEMPTS
from engine.errors import Conflict, Forbidden, InvalidArgument, NotFound, Unavailable
from engine.model import NetworkRecord, PoolRecord
from engine.store.codec import encode

MOST_SKIPPED = 6
"""After n conflicts, a host skips up to 2**n - 1 free addresses; the number is random. n is at most `MOST_SKIPPED`."""
MAC_TAKEN = "attaching to network failed: the MAC address {} is of an endpoint of another host on this network"
REMOVED = 'This node has been removed from the swarm. Use "hawse swarm leave", then it can join again.'
Pools = Sequence[tuple[PoolRecord, str]]
"""One pool for each address family; each comes with the address that the user requested, or "" if none was
requested.
"""
Claims = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""The conditions of a transaction, and the changes that the transaction makes if all conditions are true."""


def reserve(client: Client, network: NetworkRecord, endpoint: SharedEndpoint, ipv4: str, ipv6: str) -> SharedEndpoint:
    """Reserve an endpoint with its addresses; return the endpoint's record.

    The addresses are ``ipv4`` and ``ipv6``, or the next free addresses if these arguments are empty. As in Docker, the
    host's first endpoint on a network also reserves an address for the host itself. Raises Forbidden if a requested
    address is taken, or if no address is free. Raises Conflict if another host has the MAC address.
    """
    pools = pools_for_endpoint(network, ipv4, ipv6)
    used: Collection[str] = ()
    for attempt in range(ATTEMPTS):
        skip = random.randrange(2 ** min(attempt, MOST_SKIPPED))
        serials, balancer, mac, earlier = _read(client, network, endpoint.node, pools, endpoint)
        claim = _mac_claim(endpoint, mac)
        chosen = [pick_address(p, s, used, requested, skip) for (p, requested), s in zip(pools, serials, strict=True)]
        made = replace(endpoint, ipv4=_with_prefix(chosen, pools, 4), ipv6=_with_prefix(chosen, pools, 6))
        conditions, changes = _claims(network, made, chosen, pools)
        unused = _unused_claims(client, made, earlier)
        conditions, changes = [*conditions, claim, *unused[0]], [*changes, *unused[1]]
        if not balancer and pools:
            # Reserve the host's own address too. The search starts after the last address that was allocated
            # automatically. An address that the user requested does not count.
            last = serials[0] if pools[0][1] else int(ip_address(chosen[0]))
            extra = pick_address(pools[0][0], last, {*used, chosen[0]})
            more = _balancer_claims(network, endpoint.node, extra, pools[0][0])
            conditions = conditions + more[0]
            changes = [c for c in changes if not _keys([c]) & _keys(more[1])] + more[1]
        record_checks.check_endpoint(made)
        if client.transact(conditions, changes).succeeded:
            return made
        used = _used(client, network)
    raise Forbidden(NO_ADDRESS)


def _read(
    client: Client, network: NetworkRecord, node: str, pools: Pools, endpoint: SharedEndpoint | None = None
) -> tuple[list[int], str, KeyValue | None, KeyValue | None]:
    """Read the etcd data for a reservation of addresses by the host ``node`` (a node id); return four values.

    - the last allocated address of each of ``pools``, as an integer; the subnet's first address if there is none
    - the address that the host itself has on the network, or ""
    - the etcd record that reserves the MAC address of ``endpoint``, or None
    - an earlier etcd record of ``endpoint``, or None

    Raises NotFound if the network no longer exists, and Unavailable if the node has been removed.
    """
    mac, identity = (endpoint.mac, endpoint.id) if endpoint else ("", "")
    required = [keys.network(network.id), keys.member(node), keys.balancer(network.id, node)]
    required += [keys.mac(network.id, mac), keys.endpoint(network.id, node, identity)]
    entries = client.read_all(*required, *(keys.serial(network.id, p.subnet) for p, _ in pools))
    if entries[0] is None:
        raise NotFound(f"network {network.name} not found")
    if entries[1] is None:
        raise Unavailable(REMOVED)
    pairs = zip(entries[5:], pools, strict=True)
    serials = [int(kv.value) if kv else int(ip_network(p.subnet)[0]) for kv, (p, _) in pairs]
    return serials, entries[2].value if entries[2] else "", entries[3], entries[4]


def _mac_claim(endpoint: SharedEndpoint, entry: KeyValue | None) -> dict[str, Any]:
    """Return the transaction condition under which the endpoint may use its MAC address.

    ``entry`` is the etcd record that reserves the MAC address now, or None. The MAC address must be free or belong to
    the same host. Raises `Conflict` if another host has the MAC address, because frames to the address would reach only
    one of the two hosts.
    """
    key = keys.mac(endpoint.network_id, endpoint.mac)
    if entry is None:
        return absent(key)
    if not _is_own(entry, endpoint):
        raise Conflict(MAC_TAKEN.format(endpoint.mac))
    return unchanged(key, entry.revision)


def _used(client: Client, network: NetworkRecord) -> frozenset[str]:
    return frozenset(kv.key.rpartition("/")[2] for kv in client.range(keys.addresses(network.id))[0])


def _with_prefix(chosen: Sequence[str], pools: Pools, version: int) -> str:
    for address, (pool, _) in zip(chosen, pools, strict=True):
        if ip_network(pool.subnet).version == version:
            return f"{address}/{ip_network(pool.subnet).prefixlen}"
    return ""


def _keys(changes: Sequence[dict[str, Any]]) -> set[str]:
    """Return the etcd keys (in base64) that the transaction operations ``changes`` write; deleted keys do not count.

    The caller checks these keys for double writes, because a transaction may write each key only once.
    """
    return {c["request_put"]["key"] for c in changes if "request_put" in c}


def _claims(network: NetworkRecord, endpoint: SharedEndpoint, chosen: Sequence[str], pools: Pools) -> Claims:
    there = [present(keys.network(network.id)), present(keys.member(endpoint.node))]
    conditions = [*there, *(absent(keys.address(network.id, a)) for a in chosen)]
    changes = [put(_key(endpoint), encode(endpoint)), put(keys.mac(network.id, endpoint.mac), _mark(endpoint))]
    for address, (pool, requested) in zip(chosen, pools, strict=True):
        changes.append(put(keys.address(network.id, address), _mark(endpoint)))
        if not requested:
            changes.append(put(keys.serial(network.id, pool.subnet), str(int(ip_address(address)))))
    return conditions, changes


def _unused_claims(client: Client, endpoint: SharedEndpoint, earlier: KeyValue | None) -> Claims:
    """Return the conditions and changes of a transaction that releases the endpoint's obsolete addresses.

    Obsolete addresses are in ``earlier``, the endpoint's earlier record in etcd, but not in ``endpoint``. `release`
    would not find them, because it reads only the newest record. If ``earlier`` is None, the only condition is that
    etcd still has no record of the endpoint.
    """
    if earlier is None:
        return [absent(_key(endpoint))], []
    kept = _claimed(endpoint)
    unused = [kv for kv in _claims_of(client, earlier, _mark(endpoint)) if kv.key not in kept]
    return [unchanged(kv.key, kv.revision) for kv in (earlier, *unused)], [delete(kv.key) for kv in unused]


def _balancer_claims(network: NetworkRecord, node: str, address: str, pool: PoolRecord) -> Claims:
    key = keys.balancer(network.id, node)
    changes = [
        put(key, address),
        put(keys.address(network.id, address), f"{node}/balancer"),
        put(keys.serial(network.id, pool.subnet), str(int(ip_address(address)))),
    ]
    return [present(keys.member(node)), absent(key), absent(keys.address(network.id, address))], changes


def reserve_balancer(client: Client, network: NetworkRecord, node: str) -> str:
    """Return the address that the host ``node`` itself has on a network; first reserve an address if the host has none.

    ``node`` is a node id. A host needs an address on Docker's ingress network even without an endpoint there. Returns
    "" for a network without a subnet, so that such a network cannot stop the join of a host.
    """
    pools = pools_for_endpoint(network, "", "")[:1]
    if not pools:
        return ""
    used: Collection[str] = ()
    for attempt in range(ATTEMPTS):
        serials, balancer, *_ = _read(client, network, node, pools)
        if balancer:
            return balancer
        address = pick_address(pools[0][0], serials[0], used, skip=random.randrange(2 ** min(attempt, MOST_SKIPPED)))
        if client.transact(*_balancer_claims(network, node, address, pools[0][0])).succeeded:
            return address
        used = _used(client, network)
    raise Forbidden(NO_ADDRESS)


def _key(endpoint: SharedEndpoint) -> str:
    return keys.endpoint(endpoint.network_id, endpoint.node, endpoint.id)


def _mark(endpoint: SharedEndpoint) -> str:
    """Return ``node id/endpoint id``: the value of the etcd keys that reserve an endpoint's IP and MAC addresses."""
    return f"{endpoint.node}/{endpoint.id}"


def _is_own(claim: KeyValue, endpoint: SharedEndpoint) -> bool:
    """Return whether the host of ``endpoint`` owns the address or MAC that the etcd record ``claim`` reserves."""
    return claim.value.partition("/")[0] == endpoint.node


def _claimed(endpoint: SharedEndpoint) -> list[str]:
    """Return the etcd keys that reserve the endpoint's addresses, with the key of the MAC address first."""
    network_id = endpoint.network_id
    addresses = [a.partition("/")[0] for a in (endpoint.ipv4, endpoint.ipv6) if a]
    return [keys.mac(network_id, endpoint.mac), *(keys.address(network_id, a) for a in addresses)]


def release(client: Client, network_id: str, node: str, identity: str) -> None:
    """Delete the endpoint ``identity`` (an id) of the host ``node`` (a node id), and release its addresses; idempotent.

    If no endpoint of the host is left on the network, the host's own address is released too. Raises Unavailable if the
    records change during each attempt.
    """
    key = keys.endpoint(network_id, node, identity)
    for _ in range(ATTEMPTS):
        entry = client.get(key)
        if entry is None:
            break
        claims = _claims_of(client, entry, f"{node}/{identity}")
        conditions = [unchanged(kv.key, kv.revision) for kv in (entry, *claims)]
        if client.transact(conditions, [delete(key), *(delete(kv.key) for kv in claims)]).succeeded:
            break
    else:
        raise Unavailable("the cluster's store is too busy")
    _release_balancer(client, network_id, node)


def _claims_of(client: Client, entry: KeyValue, mark: str) -> list[KeyValue]:
    """Return the etcd records with the value ``mark`` that reserve the addresses of an endpoint.

    ``entry`` is the endpoint's record in etcd. If it is unreadable, the list is empty. ``mark`` is the value that
    `_mark` returns for the endpoint.
    """
    readable = record_checks.all_readable([entry], record_checks.read_endpoint)
    claimed = [key for endpoint in readable for key in _claimed(endpoint)]
    return [kv for kv in client.read_all(*claimed) if kv and kv.value == mark] if claimed else []


def _release_balancer(client: Client, network_id: str, node: str) -> None:
    if client.range(keys.endpoint(network_id, node, ""))[0]:
        return
    key = keys.balancer(network_id, node)
    entry = client.get(key)
    if entry is not None:
        client.transact([unchanged(key, entry.revision)], [delete(key), delete(keys.address(network_id, entry.value))])


def restore(client: Client, network: NetworkRecord, endpoint: SharedEndpoint) -> bool:
    """Write an endpoint's record to etcd again, with the same addresses; return whether this succeeded.

    Raises InvalidArgument for an address that the network cannot have. Returns False in these cases:

    - The network or the node no longer exists.
    - Another endpoint has one of the addresses.
    - Another host changes one of the records during the call.
    """
    _check_addresses(network, endpoint)
    claimed = _claimed(endpoint)
    conditions = [present(keys.network(endpoint.network_id)), present(keys.member(endpoint.node))]
    *entries, earlier = client.read_all(*claimed, _key(endpoint))
    for key, entry in zip(claimed, entries, strict=True):
        if entry is None:
            conditions.append(absent(key))
        elif entry.value == _mark(endpoint) or (key == claimed[0] and _is_own(entry, endpoint)):
            conditions.append(unchanged(key, entry.revision))
        else:
            return False
    changes = [put(_key(endpoint), encode(endpoint)), *(put(k, _mark(endpoint)) for k in claimed)]
    unused = _unused_claims(client, endpoint, earlier)
    return client.transact([*conditions, *unused[0]], [*changes, *unused[1]]).succeeded


def _check_addresses(network: NetworkRecord, endpoint: SharedEndpoint) -> None:
    """Check that the network allows the addresses of ``endpoint``; raises InvalidArgument if it does not.

    Each address must be in a pool of the network. It must not be a gateway or an auxiliary address. On a network with
    an IPv4 pool, the endpoint must have an IPv4 address, so that the pool limits the number of endpoints.
    """
    pools = [p for p in network.pools if not p.unused]
    if not endpoint.ipv4 and any(":" not in pool.subnet for pool in pools):
        raise InvalidArgument(f"endpoint {endpoint.id} on network {network.name} has no IPv4 address")
    for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
        if not any(is_usable(pool, address) for pool in pools):
            raise InvalidArgument(f"network {network.name} has no address {address} for containers")


def of_node(client: Client, node: str) -> list[SharedEndpoint]:
    """Return the endpoints of the host with the node id ``node``, on all networks. Invalid records are left out."""
    entries = client.range(keys.ENDPOINTS)[0]
    return record_checks.all_readable((kv for kv in entries if _owner(kv) == node), record_checks.read_endpoint)


def _owner(kv: KeyValue) -> str:
    return kv.key.removeprefix(keys.ENDPOINTS).split("/")[1]


def release_node(client: Client, node: str) -> None:
    """Release all endpoints and addresses of a removed host; ``node`` is its node id."""
    for kv in client.range(keys.ENDPOINTS)[0]:
        if _owner(kv) == node:
            network_id, _, identity = kv.key.removeprefix(keys.ENDPOINTS).split("/")
            release(client, network_id, node, identity)
    for kv in client.range(keys.BALANCERS)[0]:
        network_id, _, owner = kv.key.removeprefix(keys.BALANCERS).partition("/")
        if owner == node:
            client.transact([], [delete(kv.key), delete(keys.address(network_id, kv.value))])
