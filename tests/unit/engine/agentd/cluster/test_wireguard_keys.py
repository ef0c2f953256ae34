"""A host publishes the public part of its WireGuard key in the etcd store, and replaces the key after its lifetime."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.agentd.cluster import wireguard_keys
from engine.cluster import membership as memberships
from engine.cluster.etcd import EtcdUnavailable, KeyValue
from engine.cluster.keys import LAYOUT
from engine.cluster.model import ClusterMembership, Node
from engine.golang import timestamps
from engine.model import NetworkRecord
from engine.store.codec import decode, encode
from engine.swarm import pki

NETWORK = NetworkRecord(id="n1", name="vault", created="now", driver="overlay", options={"encrypted": ""})
NODE = Node("n", "now", "n", "worker", "192.0.2.1", "192.0.2.1", 1)


class Store:
    """A double of the etcd store with the record of one node.

    If the field ``silent`` is true, the double executes a request but sends no answer.
    """

    silent = False

    def __init__(self, record):
        self.record = record

    def get(self, key):
        return KeyValue(key, self.record, 7)

    def call(self, path, body):
        assert path == "/hawse/publish" and body["revision"] == 7
        self.record = body["node"]
        if self.silent:
            raise EtcdUnavailable("silent")
        return {"done": True}


@pytest.fixture
def membership(tmp_path):
    private, _ = pki.new_tunnel_key()
    made = ClusterMembership("c", "n", "worker", "192.0.2.1", "192.0.2.1", wireguard_key=private, layout=LAYOUT)
    memberships.directory(tmp_path).mkdir()
    memberships.save(memberships.directory(tmp_path), made)
    return made


def published(membership, updated):
    return Store(encode(replace(NODE, wireguard_key=pki.public_tunnel_key(membership.wireguard_key), updated=updated)))


def agree(store, membership):
    return decode(Node, store.record).wireguard_key == pki.public_tunnel_key(membership.wireguard_key)


def test_a_key_is_replaced_only_after_its_lifetime(tmp_path, membership):
    assert (
        wireguard_keys.rotated(tmp_path, published(membership, timestamps.now()), membership, [NETWORK]) is membership
    )
    # The second time is in the future, as if the key was published while the clock was wrong.
    for updated in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        store = published(membership, updated)
        after = wireguard_keys.rotated(tmp_path, store, membership, [NETWORK])
        assert after.wireguard_key != membership.wireguard_key and agree(store, after)
        assert memberships.load(tmp_path) == after


def test_a_key_with_an_unconfirmed_publication_is_replaced_immediately(tmp_path, membership):
    store = published(membership, "2020-01-01T00:00:00Z")
    store.silent = True
    with pytest.raises(EtcdUnavailable):
        wireguard_keys.rotated(tmp_path, store, membership, [NETWORK])
    assert not agree(store, memberships.load(tmp_path))
    store.silent = False
    assert agree(store, wireguard_keys.rotated(tmp_path, store, memberships.load(tmp_path), [NETWORK]))
