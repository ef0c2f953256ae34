"""Endpoints and their addresses, in etcd. One address is one key, so two hosts can never hand out the same one.

Addresses of a network are handed out in turn, so that a released one rests as long as possible. An endpoint's record
stays when its host goes silent (readers leave out hosts without a lease): a host that was only cut off still owns its
addresses when it comes back.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from engine.cluster import keys
from engine.cluster.choice import GIVEN_UP, choose, first_pools
from engine.cluster.etcd import Client, KeyValue, absent, delete, present, put, unchanged
from engine.cluster.model import SharedEndpoint
from engine.cluster.shared_networks import ATTEMPTS
from engine.errors import Forbidden, NotFound, Unavailable
from engine.model import NetworkRecord, PoolRecord
from engine.store.codec import decode, encode

MOST_SKIPPED = 6
"""Powers of two of addresses that a host skips at most after having been too slow."""
REMOVED = 'This node has been removed from the swarm. Use "hawse swarm leave", then it can join again.'
Pools = Sequence[tuple[PoolRecord, str]]
"""A pool for each family, with the address that is asked of it."""
Claims = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Conditions and changes of a transaction."""


def reserve(client: Client, network: NetworkRecord, endpoint: SharedEndpoint, ipv4: str, ipv6: str) -> SharedEndpoint:
    """Reserve an endpoint with its addresses (those asked for, else the next free); the record with them.

    The host's first endpoint on a network reserves an address for the host itself as well, as Docker's do.
    """
    pools = first_pools(network, ipv4, ipv6)
    used: Collection[str] = ()
    for attempt in range(ATTEMPTS):
        skip = random.randrange(2 ** min(attempt, MOST_SKIPPED))
        serials, balancer = _read(client, network, endpoint.node, pools)
        chosen = [choose(p, s, used, asked, skip) for (p, asked), s in zip(pools, serials, strict=True)]
        made = replace(endpoint, ipv4=_with_prefix(chosen, pools, 4), ipv6=_with_prefix(chosen, pools, 6))
        conditions, changes = _claims(network, made, chosen, pools)
        if not balancer and pools:
            last = serials[0] if pools[0][1] else int(ip_address(chosen[0]))  # one asked for is out of turn
            extra = choose(pools[0][0], last, {*used, chosen[0]})
            more = _balancer_claims(network, endpoint.node, extra, pools[0][0])
            conditions = conditions + more[0]
            changes = [c for c in changes if c["request_put"]["key"] not in _keys(more[1])] + more[1]
        if client.transact(conditions, changes).succeeded:
            return made
        used = _used(client, network)
    raise Forbidden(GIVEN_UP)


def _read(client: Client, network: NetworkRecord, node: str, pools: Pools) -> tuple[list[int], str]:
    """The address of each pool that was handed out last, and the host's own."""
    wanted = [keys.network(network.id), keys.node(node), keys.balancer(network.id, node)]
    found = client.read_all(*wanted, *(keys.serial(network.id, p.subnet) for p, _ in pools))
    if found[0] is None:
        raise NotFound(f"network {network.name} not found")
    if found[1] is None:
        raise Unavailable(REMOVED)
    pairs = zip(found[3:], pools, strict=True)
    serials = [int(kv.value) if kv else int(ip_network(p.subnet)[0]) for kv, (p, _) in pairs]
    return serials, found[2].value if found[2] else ""


def _used(client: Client, network: NetworkRecord) -> frozenset[str]:
    return frozenset(kv.key.rpartition("/")[2] for kv in client.range(keys.addresses(network.id))[0])


def _with_prefix(chosen: Sequence[str], pools: Pools, version: int) -> str:
    for address, (pool, _) in zip(chosen, pools, strict=True):
        if ip_network(pool.subnet).version == version:
            return f"{address}/{ip_network(pool.subnet).prefixlen}"
    return ""


def _keys(changes: Sequence[dict[str, Any]]) -> set[str]:
    """What changes write: a transaction may write each key once."""
    return {c["request_put"]["key"] for c in changes}


def _claims(network: NetworkRecord, endpoint: SharedEndpoint, chosen: Sequence[str], pools: Pools) -> Claims:
    there = [present(keys.network(network.id)), present(keys.node(endpoint.node))]
    conditions = [*there, *(absent(keys.address(network.id, a)) for a in chosen)]
    changes = [put(keys.endpoint(network.id, endpoint.id), encode(endpoint))]
    for address, (pool, asked) in zip(chosen, pools, strict=True):
        changes.append(put(keys.address(network.id, address), f"{endpoint.node}/{endpoint.id}"))
        if not asked:
            changes.append(put(keys.serial(network.id, pool.subnet), str(int(ip_address(address)))))
    return conditions, changes


def _balancer_claims(network: NetworkRecord, node: str, address: str, pool: PoolRecord) -> Claims:
    key = keys.balancer(network.id, node)
    changes = [
        put(key, address),
        put(keys.address(network.id, address), f"{node}/balancer"),
    ]
    serial = keys.serial(network.id, pool.subnet)
    changes_of_serial = [put(serial, str(int(ip_address(address))))]
    return [absent(key), absent(keys.address(network.id, address))], changes + changes_of_serial


def reserve_balancer(client: Client, network: NetworkRecord, node: str) -> str:
    """Reserve the host's own address on a network it has no endpoint on (Docker's ingress); the address."""
    pools = first_pools(network, "", "")[:1]
    used: Collection[str] = ()
    for attempt in range(ATTEMPTS):
        serials, balancer = _read(client, network, node, pools)
        if balancer:
            return balancer
        address = choose(pools[0][0], serials[0], used, skip=random.randrange(2 ** min(attempt, MOST_SKIPPED)))
        if client.transact(*_balancer_claims(network, node, address, pools[0][0])).succeeded:
            return address
        used = _used(client, network)
    raise Forbidden(GIVEN_UP)


def release(client: Client, endpoint: SharedEndpoint) -> None:
    """Forget an endpoint and give its addresses back, with the host's own when it was the host's last; idempotent."""
    addresses = [a.partition("/")[0] for a in (endpoint.ipv4, endpoint.ipv6) if a]
    mine = keys.endpoint(endpoint.network_id, endpoint.id)
    client.transact([present(mine)], [delete(mine), *(delete(keys.address(endpoint.network_id, a)) for a in addresses)])
    _release_balancer(client, endpoint.network_id, endpoint.node)


def _release_balancer(client: Client, network_id: str, node: str) -> None:
    if any(e.node == node for e in of_network(client, network_id)):
        return
    key = keys.balancer(network_id, node)
    found = client.get(key)
    if found is not None:
        client.transact([unchanged(key, found.revision)], [delete(key), delete(keys.address(network_id, found.value))])


def of_network(client: Client, network_id: str) -> list[SharedEndpoint]:
    """All endpoints of a network, those of silent hosts too."""
    return [decode_endpoint(kv) for kv in client.range(keys.endpoints(network_id))[0]]


def of_node(client: Client, node: str) -> list[SharedEndpoint]:
    """All endpoints of a host."""
    return [e for e in map(decode_endpoint, client.range(keys.ENDPOINTS)[0]) if e.node == node]


def release_node(client: Client, node: str) -> None:
    """Give back everything that a removed host had."""
    for endpoint in of_node(client, node):
        release(client, endpoint)
    for kv in client.range(keys.BALANCERS)[0]:
        network_id, _, owner = kv.key.removeprefix(keys.BALANCERS).partition("/")
        if owner == node:
            client.transact([], [delete(kv.key), delete(keys.address(network_id, kv.value))])


def decode_endpoint(kv: KeyValue) -> SharedEndpoint:
    """Read an endpoint's record."""
    return decode(SharedEndpoint, kv.value)
