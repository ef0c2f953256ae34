"""A command on one network reads only that network's records, even if many networks exist."""

import os
from collections import Counter

import pytest
from msgspec.structs import replace

from drivers.linux import netns as namespaces
from engine.agent import client
from engine.core import open_engine
from engine.endpoints import links
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    HostConfig,
    NetworkCreate,
    NetworkRecord,
    PoolRecord,
)
from engine.networks import predefined
from engine.store import codec, transaction

pytestmark = pytest.mark.netns

OTHERS = 200


@pytest.fixture
def networks(host, monkeypatch):
    """Return a function that runs an engine operation on networks. The operation runs in this process and in the host's
    network namespace.
    """
    for name in ("HAWSE_ROOT", "HAWSE_RUN"):
        monkeypatch.setenv(name, host.env()[name])
    monkeypatch.setenv("HAWSE_CONFIG", os.devnull)
    verbs = open_engine().networks
    return lambda verb, *arguments: namespaces.run_in_netns(host.path, lambda: getattr(verbs, verb)(*arguments))


@pytest.fixture
def records_read(monkeypatch):
    """Count the records that snapshots and transactions read from the store, by class."""
    counted = Counter()
    monkeypatch.setattr(transaction, "decode", lambda kind, text: counted.update([kind]) or codec.decode(kind, text))
    return counted


def crowd(verbs):
    """Record many other networks in the store, as if commands had created them."""
    with verbs.host.store.write() as tx:
        for n in range(OTHERS):
            pools = [PoolRecord(f"10.0.{n}.0/24", gateway=f"10.0.{n}.1", automatic=True)]
            tx.put_network(NetworkRecord(f"{n:064x}", f"other{n}", "", "bridge", pools=pools, options={}))


def test_making_and_removing_a_network_read_no_record_of_others(networks, records_read):
    networks("create", NetworkCreate("first"))
    networks("create", NetworkCreate("kept"))
    alone = cost(networks, records_read)
    assert min(alone) > 0
    crowd(open_engine().networks)
    assert cost(networks, records_read) == alone


def test_listing_networks_in_brief_reads_no_record(networks, records_read):
    networks("create", NetworkCreate("first"))
    crowd(open_engine().networks)
    records_read.clear()
    summaries = networks("summaries", {"driver": ["bridge"], "type": ["custom"]})
    assert len(summaries) == OTHERS + 1 and not records_read


def cost(networks, records_read):
    """Return the number of records that are read when a network is created, and when it is removed."""
    spent = []
    for verb, argument in (("create", NetworkCreate("new")), ("remove", "new")):
        records_read.clear()
        networks(verb, argument)
        spent.append(records_read.total())
    return spent


def test_notifying_the_agent_reads_no_record_of_networks_without_published_ports(networks, records_read):
    networks("create", NetworkCreate("first"))
    host = open_engine().host
    records_read.clear()
    client.announce(host)
    alone = records_read.total()
    crowd(open_engine().networks)
    records_read.clear()
    client.announce(host)
    assert records_read.total() == alone == 0


@pytest.fixture
def containers_crowd(host, monkeypatch):
    """An engine whose store has `OTHERS` stopped containers on one network, with an endpoint each."""
    for name in ("HAWSE_ROOT", "HAWSE_RUN"):
        monkeypatch.setenv(name, host.env()[name])
    monkeypatch.setenv("HAWSE_CONFIG", os.devnull)
    engine = open_engine()
    predefined.ensure(engine.host)
    with engine.host.store.write() as tx:
        tx.put_network(NetworkRecord("n" * 64, "app", "", "bridge", pools=[PoolRecord("10.0.0.0/16")], options={}))
        for n in range(OTHERS):
            record = ContainerRecord(f"{n:064x}", f"c{n}", "2026-01-01T00:00:00Z", ContainerConfig("bb"), HostConfig())
            tx.put_container(replace(record, status="exited"))
            tx.put_endpoint(EndpointRecord(f"e{n}", "n" * 64, record.id, "", ipv4=f"10.0.1.{n}/16", phase="live"))
    return engine


def test_listing_containers_reads_each_record_once(containers_crowd, records_read):
    assert len(containers_crowd.containers.list({}, all=True)) == OTHERS
    assert records_read == {ContainerRecord: OTHERS, EndpointRecord: OTHERS, NetworkRecord: 1}


def test_inspecting_a_network_reads_no_record_of_its_containers(containers_crowd, records_read):
    document = containers_crowd.networks.inspect("app")
    assert sorted(entry["Name"] for entry in document["Containers"].values()) == sorted(f"c{n}" for n in range(OTHERS))
    assert records_read == {EndpointRecord: OTHERS, NetworkRecord: 1}


def test_links_are_searched_only_among_containers_with_links(containers_crowd, records_read):
    with containers_crowd.host.store.read() as reader:
        network = replace(reader.network("n" * 64), predefined=True)
        records_read.clear()
        assert list(links.pairs(reader, network)) == []
    assert not records_read
