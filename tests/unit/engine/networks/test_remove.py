"""Networks that one command removes together: each network gets its own result."""

from __future__ import annotations

import pytest

from engine.cluster import hooks
from engine.config import Config
from engine.errors import Unavailable
from engine.host import Host
from engine.model import NetworkRecord
from engine.networks import remove
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore

CREATED = "2026-11-23T22:43:00.5Z"


@pytest.fixture
def host(tmp_path):
    store = SqliteStore(tmp_path / "hawse.db")
    with store.write() as tx:
        tx.put_network(NetworkRecord("10" * 32, "n1", CREATED, "bridge"))
        tx.put_network(NetworkRecord("20" * 32, "n2", CREATED, "overlay", scope="swarm"))
    return Host(tmp_path, tmp_path, Config(), store, LocalRuntime(tmp_path, tmp_path))


def test_a_removed_cluster_network_gets_no_error_of_the_local_store(host, monkeypatch):
    refusal = Unavailable("database is locked")

    def refuse():
        raise refusal

    monkeypatch.setattr(hooks, "remove_network", lambda _host, record: monkeypatch.setattr(host.store, "write", refuse))
    assert list(remove.remove_each(host, ["n1", "n2"])) == [refusal, None]
