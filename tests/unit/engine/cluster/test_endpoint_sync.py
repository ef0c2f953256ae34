"""The agent writes this host's endpoints to the etcd store after the endpoints or the store have changed."""

from types import SimpleNamespace

import pytest

from engine.cluster import endpoint_sync, keys, node_operations, shared_endpoints, snapshot
from engine.cluster.etcd import EtcdUnavailable, KeyValue
from engine.cluster.local_networks import SWARM
from engine.cluster.model import WORKER, ClusterMembership, SharedEndpoint
from engine.errors import EngineError, NotFound, Unavailable
from engine.model import FORMER, EndpointRecord, NetworkRecord
from engine.store.codec import decode, encode
from engine.store.sqlite import SqliteStore

MEMBERSHIP = ClusterMembership("c", "b", WORKER, "192.0.2.2", "192.0.2.2")
HERE = {i: EndpointRecord(i, "n1", "c", "02:42:00:00:00:01") for i in ("a", "b", "c")}


class Store:
    """The etcd store, as a worker's client sees it. It holds one endpoint, and records the endpoints that are sent."""

    def __init__(self, endpoint):
        self.endpoint, self.sent = endpoint, []

    def range(self, key):
        return [KeyValue(keys.endpoint("n1", "b", self.endpoint.id), encode(self.endpoint))], 1

    def call(self, path, body):
        self.sent.append(decode(SharedEndpoint, body["endpoint"]))
        return {"done": True}


def test_an_endpoint_that_becomes_former_is_published_once(tmp_path):
    local = SqliteStore(tmp_path / "hawse.db")
    record = EndpointRecord("e1", "n1", "c", "02:42:00:00:00:01", "10.0.1.2/24", names=("web",), phase=FORMER)
    with local.write() as tx:
        tx.put_network(NetworkRecord("n1", "app", "now", "overlay", scope=SWARM))
        tx.put_endpoint(record)
    etcd = Store(SharedEndpoint("e1", "n1", "c", "b", record.mac, record.ipv4, names=("web",)))
    endpoint_sync.sync_endpoints(SimpleNamespace(store=local), etcd, MEMBERSHIP)
    assert [e.former for e in etcd.sent] == [True]
    etcd.endpoint = etcd.sent[0]
    endpoint_sync.sync_endpoints(SimpleNamespace(store=local), etcd, MEMBERSHIP)
    assert len(etcd.sent) == 1


@pytest.fixture
def sync(monkeypatch):
    """Return a function that compares three endpoints with an empty store; its argument has the store's answers."""

    def run(answers):
        def perform(client, membership, act, endpoint):
            identity = decode(SharedEndpoint, endpoint).id
            tried.append(identity)
            answer = answers.get(identity, {"done": True})
            if isinstance(answer, EngineError):
                raise answer
            return answer

        tried = []
        monkeypatch.setattr(endpoint_sync, "own_endpoints", lambda host: HERE)
        monkeypatch.setattr(shared_endpoints, "of_node", lambda client, node: [])
        monkeypatch.setattr(node_operations, "perform", perform)
        return endpoint_sync.sync_endpoints(None, None, MEMBERSHIP), tried

    return run


def test_an_endpoint_that_cannot_be_written_does_not_stop_the_others(sync):
    failures, tried = sync({"a": NotFound("network n1 not found"), "b": {"done": False}})
    assert tried == ["a", "b", "c"]
    assert failures == [
        "cannot restore endpoint a in the store: network n1 not found",
        f"cannot restore endpoint b in the store: {endpoint_sync.NOT_WRITTEN}",
    ]


@pytest.mark.parametrize("error", [EtcdUnavailable("no answer"), Unavailable(shared_endpoints.REMOVED)])
def test_a_store_that_refuses_the_whole_host_ends_the_comparison(sync, error):
    with pytest.raises(Unavailable, match=str(error)):
        sync({"a": error})


def test_the_comparison_needs_no_lease_of_this_host(monkeypatch):
    """The lease may have expired while the agent was stopped. The host still owns its endpoints in the store."""
    network = NetworkRecord("n1", "app", "now", "overlay", scope=SWARM)
    endpoint = SharedEndpoint("a", "n1", "c", "b", "02:42:00:00:00:01", "10.0.1.2/24")
    view = snapshot.make(1, {keys.endpoint("n1", "b", "a"): encode(endpoint)})
    monkeypatch.setattr(endpoint_sync, "own_endpoints", lambda host: {"a": HERE["a"]})
    assert endpoint_sync.differences(None, view, network, MEMBERSHIP) == []
    monkeypatch.setattr(endpoint_sync, "own_endpoints", lambda host: {})
    assert endpoint_sync.differences(None, view, network, MEMBERSHIP) == [
        "unexpected in the store: endpoint a (10.0.1.2/24)"
    ]
