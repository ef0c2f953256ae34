"""A host copies the cluster's networks from the etcd store to its own store (the SQLite file)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from drivers.options import ENCRYPTED
from engine.cluster import encryption, local_networks, membership
from engine.cluster.keys import LAYOUT
from engine.cluster.model import ClusterMembership
from engine.config import Config
from engine.errors import KernelFailure
from engine.host import MEMBERSHIP_FILE, Host, network_spec
from engine.model import NetworkRecord
from engine.runtime.local import LocalRuntime
from engine.store.api import IntentKind
from engine.store.sqlite import SqliteStore

ME = ClusterMembership("c", "n", "manager", "192.0.2.1", "192.0.2.1", (), layout=LAYOUT)


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


def test_an_encrypted_network_without_a_vxlan_id_does_not_stop_the_others(host):
    """Earlier versions recorded such a network for ``--ipv4=false``. Its copy is needed for its removal."""
    invalid = replace(network("bad"), options={ENCRYPTED: ""})
    local_networks.follow(host, lambda: [invalid, network("good")], ME)
    assert names(host) == {"bad", "good"}
    assert encryption.spec(invalid, ME, ()) == network_spec(invalid)


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


@pytest.fixture
def live(host):
    """The record of a network of the host whose kernel objects exist."""
    record = replace(local_networks.import_network(host, network("one"), ME), phase="live")
    with host.store.write() as tx:
        tx.put_network(record)
    return record


def phases_and_intents(host):
    with host.store.read() as reader:
        return [n.phase for n in reader.networks()], [i.kind for i in reader.intents()]


def test_a_network_is_planned_before_its_kernel_objects_are_deleted(host, live, monkeypatch):
    """A command that is killed after the deletion must not leave a network that counts as live."""
    seen = []
    monkeypatch.setattr(local_networks, "delete_local", lambda host, record: seen.append(phases_and_intents(host)))
    local_networks.deactivate_if_unused(host, live.id)
    assert seen == [(["planned"], [IntentKind.NETWORK_ACTIVATE])]
    assert phases_and_intents(host) == (["planned"], [])


def test_a_deletion_that_failed_is_repeated(host, live, monkeypatch):
    def refuse(host, record):
        raise KernelFailure("busy")

    monkeypatch.setattr(local_networks, "delete_local", refuse)
    with pytest.raises(KernelFailure):
        local_networks.deactivate_all_unused(host)
    monkeypatch.setattr(local_networks, "delete_local", lambda host, record: None)
    assert local_networks.deactivate_all_unused(host)
    assert phases_and_intents(host) == (["planned"], [])
    assert not local_networks.deactivate_all_unused(host)
