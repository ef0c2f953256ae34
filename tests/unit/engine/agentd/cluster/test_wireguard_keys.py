"""A host publishes in the cluster's store the WireGuard key that it uses for tunnels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.agentd.cluster import wireguard_keys
from engine.cluster import membership
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
    """A store double with the record of one node. If ``silent``, it carries out a request but does not answer."""

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
def me(tmp_path):
    private, _ = pki.new_tunnel_key()
    made = ClusterMembership("c", "n", "worker", "192.0.2.1", "192.0.2.1", wireguard_key=private, layout=LAYOUT)
    membership.directory(tmp_path).mkdir()
    membership.save(membership.directory(tmp_path), made)
    return made


def published(me, updated):
    return Store(encode(replace(NODE, wireguard_key=pki.public_tunnel_key(me.wireguard_key), updated=updated)))


def agree(store, me):
    return decode(Node, store.record).wireguard_key == pki.public_tunnel_key(me.wireguard_key)


def test_a_key_stays_until_it_has_served_its_time(tmp_path, me):
    assert wireguard_keys.rotated(tmp_path, published(me, timestamps.now()), me, [NETWORK]) is me
    store = published(me, "2020-01-01T00:00:00Z")
    after = wireguard_keys.rotated(tmp_path, store, me, [NETWORK])
    assert after.wireguard_key != me.wireguard_key and agree(store, after)
    assert membership.load(tmp_path) == after


def test_a_key_whose_publication_was_cut_short_is_replaced_at_once(tmp_path, me):
    store = published(me, "2020-01-01T00:00:00Z")
    store.silent = True
    with pytest.raises(EtcdUnavailable):
        wireguard_keys.rotated(tmp_path, store, me, [NETWORK])
    assert not agree(store, membership.load(tmp_path))
    store.silent = False
    assert agree(store, wireguard_keys.rotated(tmp_path, store, membership.load(tmp_path), [NETWORK]))
