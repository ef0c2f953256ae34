from types import SimpleNamespace

from engine.cluster import endpoint_sync, keys
from engine.cluster.etcd import KeyValue
from engine.cluster.local_networks import SWARM
from engine.cluster.model import WORKER, ClusterMembership, SharedEndpoint
from engine.model import FORMER, EndpointRecord, NetworkRecord
from engine.store.codec import decode, encode
from engine.store.sqlite import SqliteStore

MEMBERSHIP = ClusterMembership("c", "b", WORKER, "192.0.2.2", "192.0.2.2")


class Store:
    """The etcd store, as a worker's client sees it. It holds one endpoint, and records the endpoints that are sent."""

    def __init__(self, endpoint):
        self.endpoint, self.sent = endpoint, []

    def range(self, key):
        return [KeyValue(keys.endpoint("n1", "b", self.endpoint.id), encode(self.endpoint))], 1

    def call(self, path, body):
        self.sent.append(decode(SharedEndpoint, body["endpoint"]))


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
