"""A legacy link names a container by name, id or id prefix."""

from __future__ import annotations

import pytest

from engine.endpoints import links
from engine.model import ContainerConfig, ContainerRecord, HostConfig
from engine.store.sqlite import SqliteStore

NAMED = ContainerRecord("c" * 64, "ab", "", ContainerConfig("bb"), HostConfig())
UNRELATED = ContainerRecord("ab" * 32, "web", "", ContainerConfig("bb"), HostConfig())


@pytest.mark.parametrize(
    ("link", "after"),
    [
        ("ab:store", "ab:store"),
        ("aba:store", "new:store"),
        (f"{UNRELATED.id}:store", "new:store"),
        ("web:store", "new:store"),
    ],
)
def test_the_rename_of_a_container_changes_only_the_links_to_it(tmp_path, link, after):
    store = SqliteStore(tmp_path / "hawse.db")
    settings = HostConfig(network_mode="bridge", links=(link,))
    source = ContainerRecord("d" * 64, "app", "", ContainerConfig("bb"), settings)
    with store.write() as tx:
        for record in (NAMED, UNRELATED, source):
            tx.put_container(record)
        assert links.renamed(tx, source, UNRELATED, "new").host.links == (after,)
