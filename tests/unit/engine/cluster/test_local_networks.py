"""A host copies the cluster's networks from the etcd store to its own store (the SQLite file)."""

from __future__ import annotations

import pytest

from engine.cluster import local_networks, membership
from engine.cluster.model import ClusterMembership
from engine.config import Config
from engine.host import MEMBERSHIP_FILE, Host
from engine.model import NetworkRecord
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore

ME = ClusterMembership("c", "n", "manager", "192.0.2.1", "192.0.2.1", ())


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("HAWSE_RUN", str(tmp_path))
    membership.directory(tmp_path).mkdir()
    membership.save(membership.directory(tmp_path), ME)
    return Host(tmp_path, tmp_path, Config(), SqliteStore(tmp_path / "hawse.db"), LocalRuntime(tmp_path, tmp_path))


def network(name):
    return NetworkRecord(id=name * 5, name=name, created="now", driver="overlay", scope="swarm")


def names(host):
    with host.store.read() as reader:
        return {n.name for n in reader.networks()}


def test_networks_of_the_cluster_are_copied_and_removed_networks_deleted(host):
    local_networks.follow(host, lambda: [network("one"), network("two")], ME)
    assert names(host) == {"one", "two"}
    local_networks.follow(host, lambda: [network("two")], ME)
    assert names(host) == {"two"}


def test_a_network_that_a_command_makes_meanwhile_stays(host):
    local_networks.import_network(host, network("one"), ME)

    def read():
        before = [network("one")]
        local_networks.import_network(host, network("two"), ME)
        return before

    local_networks.follow(host, read, ME)
    assert names(host) == {"one", "two"}


def test_a_host_that_leaves_meanwhile_copies_no_network(host):
    local_networks.import_network(host, network("one"), ME)

    def read():
        (membership.directory(host.root) / MEMBERSHIP_FILE).unlink()
        local_networks.delete_all_copies(host)
        return [network("one"), network("two")]

    local_networks.follow(host, read, ME)
    assert names(host) == set()
