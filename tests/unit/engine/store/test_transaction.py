"""Facts about networks that the store finds without decoding the network records.

The facts are the drivers, the options, the subnets, and the lists of networks.
"""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from engine.model import NetworkRecord, NetworkSummary, PoolRecord
from engine.store import transaction
from engine.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "hawse.db")


def network(id, *subnets, driver="bridge", **fields):
    return NetworkRecord(
        id=id, name=f"name-{id}", created="", driver=driver, pools=[PoolRecord(s) for s in subnets], **fields
    )


def put(store, *records):
    with store.write() as tx:
        for record in records:
            tx.put_network(record)


def subnets(store, version=4):
    with store.read() as snapshot:
        return sorted((str(ip_address(first)), str(ip_address(last))) for first, last in snapshot.subnets(version))


def test_networks_of_a_driver_and_those_with_options(store):
    put(
        store,
        network("a"),
        network("b", options={"k": "v"}),
        network("c", host_options={"k": "v"}),
        network("d", driver="macvlan", options={"parent": "eth0"}),
        network("e", options={}),
    )
    with store.read() as snapshot:
        assert [n.id for n in snapshot.networks(driver="bridge")] == ["a", "b", "c", "e"]
        assert [n.id for n in snapshot.networks(driver="bridge", with_options=True)] == ["b", "c"]
        assert [n.id for n in snapshot.networks(with_options=True)] == ["b", "c", "d"]


def test_drivers_in_use_are_those_of_live_networks(store):
    put(store, network("a"), network("b", driver="macvlan", phase="creating"))
    with store.read() as snapshot:
        assert snapshot.drivers_in_use() == {"bridge"}
    put(store, network("a", phase="removing"), network("b", driver="macvlan"))
    with store.read() as snapshot:
        assert snapshot.drivers_in_use() == {"macvlan"}


def test_custom_networks_are_distinguished_from_predefined_ones(store):
    put(store, network("a", predefined=True))
    with store.read() as snapshot:
        assert not snapshot.has_custom_networks()
    put(store, network("b", phase="creating"))
    with store.read() as snapshot:
        assert snapshot.has_custom_networks()


def test_subnets_change_with_their_network(store):
    app = network("a", "10.0.0.0/24", "fd00::/64")
    put(store, app, network("b", "10.0.1.0/24"))
    assert subnets(store) == [("10.0.0.0", "10.0.0.255"), ("10.0.1.0", "10.0.1.255")]
    assert subnets(store, 6) == [("fd00::", "fd00::ffff:ffff:ffff:ffff")]
    put(store, replace(app, pools=[PoolRecord("10.9.0.0/16")]))
    assert subnets(store) == [("10.0.1.0", "10.0.1.255"), ("10.9.0.0", "10.9.255.255")]
    with store.write() as tx:
        tx.delete_network("a")
    assert subnets(store) == [("10.0.1.0", "10.0.1.255")] and subnets(store, 6) == []


def test_subnets_that_give_no_addresses_are_not_listed(store):
    idle = replace(network("a"), pools=[PoolRecord("fd00::/64", unused=True), PoolRecord("10.0.0.0/24")])
    put(store, idle, network("b", "10.1.0.0/24", config_only=True))
    assert subnets(store) == [("10.0.0.0", "10.0.0.255")] and subnets(store, 6) == []


def test_facts_about_networks_are_found_without_decoding_a_record(store, monkeypatch):
    put(store, *(network(str(n), f"10.0.{n}.0/24") for n in range(100)))
    monkeypatch.setattr(transaction, "decode", lambda *_: pytest.fail("a record was read"))
    with store.read() as snapshot:
        assert snapshot.has_custom_networks() and snapshot.drivers_in_use() == {"bridge"}
        assert len(snapshot.subnets(4)) == 100
        assert snapshot.networks(driver="bridge", with_options=True) == snapshot.networks(driver="macvlan") == []
        assert len(snapshot.network_summaries(("live",))) == 100


def summaries(store, *phases):
    with store.read() as snapshot:
        return snapshot.network_summaries(phases)


def test_summaries_agree_with_the_records(store):
    put(
        store,
        network("a", predefined=True),
        network("b", driver="overlay", scope="swarm", options={"k": "v"}),
        replace(network("c"), name="网络\ttab\nline", scope="global", labels={"scope": "other"}),
        replace(network("d", scope="\udcff"), name="not \udcff UTF-8"),
        replace(network("e", scope=""), name=""),
    )
    with store.read() as snapshot:
        records = {n.id: NetworkSummary(n.id, n.name, n.driver, n.scope, n.predefined) for n in snapshot.networks()}
        assert {n.id: n for n in snapshot.network_summaries(("live",))} == records
    assert records["d"].name == "not \ufffd UTF-8" and records["d"].scope == "\ufffd"


def test_summaries_are_limited_to_phases_and_change_with_their_records(store):
    put(store, network("a"), network("b", phase="creating"), network("c", phase="planned"))
    assert [n.id for n in summaries(store, "live", "planned")] == ["a", "c"]
    put(store, replace(network("a", scope="swarm"), name="z"), network("b"))
    assert [(n.name, n.scope) for n in summaries(store, "live")] == [("name-b", "local"), ("z", "swarm")]
    with store.write() as tx:
        tx.delete_network("b")
    assert [n.id for n in summaries(store, "live")] == ["a"]


def test_summaries_come_in_natural_order(store):
    ordered = ["1", "01", "2", "Net", "net", "net1", "net2", "net10", "net-a", "neta", "网络2", "网络10"]
    put(store, *(replace(network(name), name=name) for name in sorted(ordered, key=len)))
    assert [n.name for n in summaries(store, "live")] == ordered


def test_summaries_read_only_their_index(store):
    with store.write() as tx:
        queries = []
        tx._connection.set_trace_callback(queries.append)
        tx.network_summaries(("live", "planned"))
        tx._connection.set_trace_callback(None)
        plan = [row[-1] for row in tx._connection.execute(f"EXPLAIN QUERY PLAN {queries[0]}")]
    assert plan == ["SCAN networks USING COVERING INDEX networks_listed"]
