from types import SimpleNamespace

import pytest

from drivers.overlay import OverlayDriver
from engine.cluster import snapshot
from engine.cluster.model import WORKER, ClusterMembership
from engine.model import NetworkRecord
from engine.store.sqlite import SqliteStore
from engine.swarm import verify

MEMBERSHIP = ClusterMembership("c", "a", WORKER, "192.0.2.1", "192.0.2.1")
NETWORK = NetworkRecord("n1", "app", "now", "overlay", scope="swarm", phase="live")


class Driver(OverlayDriver):
    """An overlay driver that records which locks are held when it repairs a network."""

    def __init__(self, run):
        self.locks_path, self.locks = run / "locks", []

    def verify(self, network, peers, fix, *, tunnels=True):
        assert fix
        self.locks.append(sorted(path.name for path in self.locks_path.iterdir()))
        return []


@pytest.mark.parametrize("deleted", [False, True])
def test_a_repair_does_not_create_a_network_again_that_a_command_has_deleted(tmp_path, monkeypatch, deleted):
    store, driver = SqliteStore(tmp_path / "hawse.db"), Driver(tmp_path)
    with store.write() as tx:
        if not deleted:
            tx.put_network(NETWORK)
    monkeypatch.setattr(snapshot, "load", lambda client: snapshot.make(1, {}))
    host = SimpleNamespace(store=store, run=tmp_path, driver=lambda name: driver)
    assert verify.repair(host, NETWORK, MEMBERSHIP, object()) == []
    assert driver.locks == ([] if deleted else [["cluster-networks", "cluster-tables"]])
