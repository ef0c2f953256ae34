"""A command on one network reads only that network's records, even if many networks exist."""

import os

import pytest

from drivers.linux import netns as namespaces
from engine.agent import client
from engine.core import open_engine
from engine.model import NetworkCreate, NetworkRecord, PoolRecord
from engine.store import transaction

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
    """Return a list to which each read of a record in the store is added."""
    read, decode = [], transaction.decode
    monkeypatch.setattr(transaction, "decode", lambda *args: read.append(args) or decode(*args))
    return read


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
        spent.append(len(records_read))
    return spent


def test_telling_the_agent_reads_no_record_of_networks_that_publish_nothing(networks, records_read):
    networks("create", NetworkCreate("first"))
    host = open_engine().host
    records_read.clear()
    client.announce(host)
    alone = len(records_read)
    crowd(open_engine().networks)
    records_read.clear()
    client.announce(host)
    assert len(records_read) == alone == 0
