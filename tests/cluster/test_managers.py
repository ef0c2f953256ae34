"""Three managers, each with a member of the store: the cluster outlives any one of them."""

import pytest

from tests.cluster.conftest import eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]


@pytest.fixture(scope="module")
def managers(cluster):
    cluster.init()
    for _ in range(2):
        cluster.join("manager")
    return cluster.hosts


def test_all_of_them_manage(managers):
    rows = managers[2].hawse("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}").stdout.splitlines()
    assert sorted(rows) == ["Ready Leader", "Ready Reachable", "Ready Reachable"]
    managers[1].hawse("network", "create", "-d", "overlay", "--attachable", "app")
    eventually(lambda: "app" in managers[2].hawse("network", "ls").stdout)


def test_a_worker_token_does_not_make_a_manager(cluster, managers):
    worker = cluster.add_host()
    refused = worker.hawse(
        "swarm", "join", "--manager", "--token", cluster.token("worker"), f"{managers[0].underlay}:2377", check=False
    )
    assert "A valid join token is necessary to join this cluster" in refused.stderr
    worker.hawse("swarm", "join", "--token", cluster.token("worker"), f"{managers[1].underlay}:2377")


def test_the_loss_of_one_manager_stops_nothing(cluster, managers):
    first, second, third, worker = cluster.hosts
    worker.start("c4", "app")
    eventually(lambda: len(urls(worker)) == 3)
    first.cut()
    made = ("network", "create", "-d", "overlay", "--attachable", "after")
    eventually(lambda: second.hawse(*made, check=False).returncode == 0, 30)
    third.start("c3", "app")
    eventually(lambda: worker.reaches("c4", "c3"), 20)
    first.mend()
    eventually(lambda: "after" in first.hawse("network", "ls").stdout, 30)


def test_a_manager_leaves_in_good_order(cluster, managers):
    first = managers[0]
    first.hawse("swarm", "leave", "--force")
    rows = managers[1].hawse("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}").stdout.splitlines()
    assert sum("Reachable" in r or "Leader" in r for r in rows) == 2
    managers[1].hawse("network", "rm", "after")


def urls(host):
    from engine.cluster.membership import load

    return load(host.root).urls
