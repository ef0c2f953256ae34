"""After a reboot, containers start in an order that their links and shared sandboxes require."""

from __future__ import annotations

import pytest

from engine.config import Config
from engine.host import Host
from engine.model import ContainerConfig, ContainerRecord, HostConfig
from engine.recovery import boot
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore

NAMED = ContainerRecord("c" * 64, "ab", "", ContainerConfig("bb"), HostConfig())
UNRELATED = ContainerRecord("ab" * 32, "web", "", ContainerConfig("bb"), HostConfig())


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path, tmp_path, Config(), SqliteStore(tmp_path / "hawse.db"), LocalRuntime(tmp_path, tmp_path))
    with made.store.write() as tx:
        tx.put_container(NAMED)
        tx.put_container(UNRELATED)
    return made


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        (HostConfig(links=["ab:store"]), NAMED),
        (HostConfig(links=["aba"]), UNRELATED),
        (HostConfig(links=[UNRELATED.id]), UNRELATED),
        (HostConfig(network_mode=f"container:{NAMED.id}"), NAMED),
    ],
)
def test_a_container_starts_after_those_that_it_names(host, settings, needed):
    record = ContainerRecord("d" * 64, "app", "", ContainerConfig("bb"), settings)
    *_, job = boot.jobs(host, [NAMED, UNRELATED, record])
    assert list(job.after) == [needed.id]
