"""The agent's lease thread decides when this host's endpoints are compared with the etcd store."""

from engine.agentd.cluster.lease import LeaseKeeper
from engine.cluster import node_operations


def test_a_comparison_that_left_differences_is_repeated_at_the_next_renewal(monkeypatch):
    results, after = [False, True], []
    keeper = LeaseKeeper(lambda: None, None, sync_records=lambda client: results.pop(0), after_renewal=after.append)
    monkeypatch.setattr(node_operations, "perform", lambda *args, **arguments: {"lease": "1"})
    for _ in range(3):
        keeper._renew("client", 30)
    assert results == [] and after == ["client"] * 3
