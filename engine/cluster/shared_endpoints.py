"""Endpoints and their addresses, in etcd. One address is one key, so two hosts can never hand out the same one.

Addresses of a network are handed out in turn, so that a released one rests as long as possible. An endpoint's record
stays when its host goes silent (readers leave out hosts without a lease): a host that was only cut off still owns its
addresses when it comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from engine.cluster import keys
from engine.cluster.etcd import Client, KeyValue, absent, delete, present, put, unchanged
from engine.cluster.model import SharedEndpoint
from engine.cluster.shared_networks import ATTEMPTS
from engine.errors import Forbidden, NotFound
from engine.model import NetworkRecord, PoolRecord
from engine.store.codec import decode, encode

GIVEN_UP = (
    "attaching to network failed, make sure your network options are correct and check manager logs: "
    "context deadline exceeded"
)
"""What Docker says, after 20 seconds, of an address that is taken and of a network without a free one."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What addresses are chosen by: the last one of each pool, those in use where that is known, the host's own."""

    serials: Sequence[int]
    balancer: str
    used: frozenset[str] | None = None


def reserve(client: Client, network: NetworkRecord, endpoint: SharedEndpoint, ipv4: str, ipv6: str) -> SharedEndpoint:
    """Reserve an endpoint with its addresses (those asked for, else the next free); the record with them.

    The host's first endpoint on a network reserves an address for the host itself as well, as Docker's do.
    """
    pools = first_pools(network, ipv4, ipv6)
    used: frozenset[str] | None = None
    for _ in range(ATTEMPTS):
        ledger = _read(client, network, endpoint.node, pools, used)
        chosen = [
            _choose(network, p, s, asked, ledger.used) for (p, asked), s in zip(pools, ledger.serials, strict=True)
        ]
        made = replace(endpoint, ipv4=_with_prefix(chosen, pools, 4), ipv6=_with_prefix(chosen, pools, 6))
        conditions, changes = _claims(network, made, chosen, pools)
        if not ledger.balancer and pools:
            extra = _choose(network, pools[0][0], int(ip_address(chosen[0])), "", _with(ledger.used, chosen[0]))
            more = _balancer_claims(network, endpoint.node, extra, pools[0][0])
            conditions = conditions + more[0]
            changes = [c for c in changes if c["request_put"]["key"] not in _keys(more[1])] + more[1]
        if client.transact(conditions, changes).succeeded:
            return made
        used = _used(client, network)
    raise Forbidden(GIVEN_UP)


def first_pools(network: NetworkRecord, ipv4: str, ipv6: str) -> list[tuple[PoolRecord, str]]:
    """The pools that an endpoint gets addresses from, one a family, and what is asked of each."""
    found: dict[int, tuple[PoolRecord, str]] = {}
    for pool in network.pools:
        subnet = ip_network(pool.subnet)
        asked = ipv4 if subnet.version == 4 else ipv6
        if not pool.unused and subnet.version not in found and (not asked or ip_address(asked) in subnet):
            found[subnet.version] = (pool, asked)
    return [found[version] for version in sorted(found)]


def _read(
    client: Client,
    network: NetworkRecord,
    node: str,
    pools: Sequence[tuple[PoolRecord, str]],
    used: frozenset[str] | None,
) -> Ledger:
    wanted = [keys.network(network.id), keys.balancer(network.id, node)]
    found = client.read_all(*wanted, *(keys.serial(network.id, p.subnet) for p, _ in pools))
    if found[0] is None:
        raise NotFound(f"network {network.name} not found")
    serials = [
        int(kv.value) if kv else int(ip_network(p.subnet)[0]) for kv, (p, _) in zip(found[2:], pools, strict=True)
    ]
    return Ledger(serials, found[1].value if found[1] else "", used)


def _used(client: Client, network: NetworkRecord) -> frozenset[str]:
    return frozenset(kv.key.rpartition("/")[2] for kv in client.range(keys.addresses(network.id))[0])


def _with(used: frozenset[str] | None, address: str) -> frozenset[str]:
    return (used or frozenset()) | {address}


def _choose(network: NetworkRecord, pool: PoolRecord, last: int, asked: str, used: frozenset[str] | None) -> str:
    """The address asked for, or the next one after ``last`` that is free as far as is known."""
    taken = (used or frozenset()) | {pool.gateway, *pool.aux_addresses.values()}
    if asked:
        if str(ip_address(asked)) in taken:
            raise Forbidden(GIVEN_UP)
        return str(ip_address(asked))
    subnet = ip_network(pool.subnet)
    span = ip_network(pool.ip_range) if pool.ip_range else subnet
    first, end = int(span[0]), int(span[-1])
    reserved = {int(subnet[0]), int(subnet[-1])} if subnet.version == 4 and subnet.prefixlen < 31 else {int(subnet[0])}
    kind: type[IPv4Address] | type[IPv6Address] = IPv4Address if subnet.version == 4 else IPv6Address
    start = last + 1 if first <= last < end else first
    for number in (n for part in (range(start, end + 1), range(first, start)) for n in part):
        if number not in reserved and str(kind(number)) not in taken:
            return str(kind(number))
    raise Forbidden(GIVEN_UP)


def _with_prefix(chosen: Sequence[str], pools: Sequence[tuple[PoolRecord, str]], version: int) -> str:
    for address, (pool, _) in zip(chosen, pools, strict=True):
        if ip_network(pool.subnet).version == version:
            return f"{address}/{ip_network(pool.subnet).prefixlen}"
    return ""


Claims = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Conditions and changes of a transaction."""


def _keys(changes: Sequence[dict[str, Any]]) -> set[str]:
    """What changes write: a transaction may write each key once."""
    return {c["request_put"]["key"] for c in changes}


def _claims(
    network: NetworkRecord, endpoint: SharedEndpoint, chosen: Sequence[str], pools: Sequence[tuple[PoolRecord, str]]
) -> Claims:
    conditions = [present(keys.network(network.id)), *(absent(keys.address(network.id, a)) for a in chosen)]
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
    used: frozenset[str] | None = None
    for _ in range(ATTEMPTS):
        ledger = _read(client, network, node, pools, used)
        if ledger.balancer:
            return ledger.balancer
        address = _choose(network, pools[0][0], ledger.serials[0], "", used)
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
