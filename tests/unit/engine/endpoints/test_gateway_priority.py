"""The order of a container's networks decides which network gets the default route."""

from __future__ import annotations

from engine.endpoints.sandbox import gateway_priority
from engine.model import NetworkRecord, PoolRecord

V4, V6 = PoolRecord("172.30.0.0/16", gateway="172.30.0.1"), PoolRecord("fd00::/64", gateway="fd00::1")


def network(name: str, *pools: PoolRecord, **fields) -> NetworkRecord:
    return NetworkRecord(id=name, name=name, created="", driver="bridge", pools=pools, **fields)


def test_networks_that_lead_out_over_both_families_come_first_and_internal_ones_last():
    networks = [
        network("aa-inside", V4, V6, internal=True), network("b", V4), network("c", V4, V6), network("d", V4, V6),
        network("e", V4, PoolRecord("fd00::/64", gateway="fd00::1", unused=True)),
        network("a-far", V4, V6, scope="swarm"),
    ]  # fmt: skip
    assert [n.name for n in sorted(networks, key=gateway_priority)] == ["c", "d", "a-far", "b", "e", "aa-inside"]


def test_the_users_priority_decides_except_for_internal_networks():
    assert gateway_priority(network("z", V4), 1) < gateway_priority(network("a", V4, V6))
    assert gateway_priority(network("z", V4, internal=True), 1) > gateway_priority(network("a", V4))
