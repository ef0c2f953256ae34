"""A cluster of three managers, each with one etcd member, keeps working after any one manager is lost."""

import shutil
import time

import pytest

from engine.cluster.membership import load
from engine.swarm import nodes, quorum
from tests.cluster.conftest import LEASE, eventually
from tests.cluster.test_hostile_worker import Intruder

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def managers(cluster):
    cluster.init()
    for _ in range(2):
        cluster.join("manager")
    return cluster.hosts


def test_every_manager_can_change_the_cluster(managers):
    rows = managers[2].hawse("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}").stdout.splitlines()
    assert sorted(rows) == ["Ready Leader", "Ready Reachable", "Ready Reachable"]
    managers[1].hawse("network", "create", "-d", "overlay", "--attachable", "app")
    eventually(lambda: "app" in managers[2].hawse("network", "ls").stdout)


@pytest.mark.slow
def test_commands_wait_for_the_election_after_the_leader_is_lost_and_after_it_returns(managers):
    leader = next(host for host in managers if status_of(host) == "Leader\n")
    other = next(host for host in managers if host is not leader)
    leader.cut()
    other.hawse("network", "create", "-d", "overlay", "elected")
    leader.repair()
    leader.hawse("network", "rm", "elected")


def test_a_terminal_says_that_hawse_has_no_force_new_cluster(managers):
    docker = managers[2].hawse("swarm", "leave", check=False).stderr
    assert docker.endswith("Use `--force` to suppress this message.\n")
    assert managers[2].error_on_terminal("swarm", "leave") == f"{docker}\n{quorum.NEW_CLUSTER}\n"


def test_a_terminal_says_how_to_remove_a_manager_without_node_demote(managers):
    lost = load(managers[0].root).node_id
    docker = managers[1].hawse("node", "rm", lost, check=False).stderr
    assert docker.endswith("It must be demoted to worker before removal\n")
    assert managers[1].error_on_terminal("node", "rm", lost) == f"{docker}\n{nodes.LEAVE}\n"
    managers[0].cut()
    state = ("node", "inspect", "-f", "{{.Status.State}}", lost)
    eventually(lambda: managers[1].hawse(*state, check=False).stdout == "down\n", 30)
    assert managers[1].error_on_terminal("node", "rm", lost) == f"{docker}\n{nodes.FORCE}\n"
    managers[0].repair()
    eventually(lambda: managers[0].hawse(*state, check=False).stdout == "ready\n", 30)


def test_a_worker_token_does_not_make_a_manager(cluster, managers):
    worker = cluster.add_host()
    joining = ("swarm", "join", "--manager", "--token", cluster.token("worker"), f"{managers[0].underlay}:2377")
    refusal = "A valid join token is necessary to join this cluster"
    eventually(lambda: refusal in worker.hawse(*joining, check=False).stderr, 30)  # managers[0] was cut off before
    worker.hawse("swarm", "join", "--token", cluster.token("worker"), f"{managers[1].underlay}:2377")


def test_the_loss_of_one_manager_stops_nothing(cluster, managers):
    first, second, third, worker = cluster.hosts
    worker.start("c4", "app")
    eventually(lambda: len(managers_of(worker)) == 3)
    first.cut()
    made = ("network", "create", "-d", "overlay", "--attachable", "after")
    eventually(lambda: second.hawse(*made, check=False).returncode == 0, 30)
    third.start("c3", "app")
    eventually(lambda: worker.reaches("c4", "c3"), 20)
    first.repair()
    eventually(lambda: "after" in first.hawse("network", "ls").stdout, 30)


def test_a_worker_changes_to_another_manager_if_its_manager_is_silent(cluster, managers):
    worker = cluster.hosts[3]
    places = worker.sh("ss -Htn state established dport = :2377").split()
    silent = next(h for h in managers if f"{h.underlay}:2377" in places)
    other = next(h for h in managers if h is not silent)
    silent.cut()
    eventually(lambda: other.hawse("node", "ls", check=False).returncode == 0, 30)  # managers may first elect a leader
    other.start("c6", "app")
    eventually(lambda: worker.reaches("c4", "c6"), 20)
    worker.start("c7", "app")
    eventually(lambda: other.reaches("c6", "c7"))
    time.sleep(LEASE)
    states = ("events", "--since", "1m", "--until", "0s", "--filter", f"node={load(worker.root).node_id}")
    assert "state.new=down" not in other.hawse(*states).stdout, "the worker keeps its lease"
    silent.repair()
    states = ("node", "ls", "--format", "{{.Status}}")
    eventually(lambda: silent.hawse(*states, check=False).stdout.split() == ["Ready"] * 4, 30)
    eventually(lambda: managers[2].reaches("c3", "c4"), 20)
    for host, name in ((other, "c6"), (worker, "c7")):
        host.hawse("rm", "-f", name)


def test_a_manager_that_is_cut_off_refuses_changes_at_once_and_keeps_names_and_traffic(cluster, managers):
    third = managers[2]
    third.start("c5", "app")
    third.cut()
    began = time.monotonic()
    refused = third.hawse("network", "create", "-d", "overlay", "cut", check=False)
    spent = time.monotonic() - began
    assert refused.returncode == 1 and "the cluster's store does not answer" in refused.stderr
    assert spent < 6, "two to four seconds on a quiet machine"
    assert third.reaches("c3", "c5") and cluster.hosts[3].ip("c4", "app") in lookup(third, "c3", "c4")
    third.repair()
    eventually(lambda: third.hawse("network", "create", "-d", "overlay", "cut", check=False).returncode == 0, 20)
    third.hawse("network", "rm", "cut")
    third.hawse("rm", "-f", "c5")


def lookup(host, container, name):
    return host.hawse("exec", container, "busybox", "nslookup", name, "127.0.0.11").stdout


@pytest.mark.slow
def test_a_join_as_manager_that_was_killed_can_be_repeated(cluster, managers):
    late = cluster.add_host()
    joining = ("swarm", "join", "--token", cluster.token("manager"), f"{managers[1].underlay}:2377")
    process = late.begin(*joining)
    eventually((late.run_dir / "cluster" / "etcd.pid").exists, 20)
    process.kill()
    process.wait()
    late.kill_processes()
    assert managers[1].tool("-", "members").count("learner") == 1
    assert "inactive" in late.hawse("info", "-f", "{{.Swarm.LocalNodeState}}").stdout
    late.hawse(*joining)
    late.hawse("network", "ls")
    late.hawse("swarm", "leave", "--force")


def test_a_manager_leaves_in_good_order_and_is_refused_from_then_on(cluster, managers, tmp_path):
    first = managers[0]
    kept = tmp_path / "kept"
    shutil.copytree(first.root / "cluster", kept / "cluster", ignore=shutil.ignore_patterns("*.sock"))
    former = Intruder(first, kept)
    status, place = "/v3/maintenance/status", f"https://{managers[1].underlay}:2377"
    eventually(lambda: former.ask(status, {}, url=place)[0] == "ok", 40)  # an election may last long under load
    first.hawse("swarm", "leave", "--force")
    # The removed host is refused only later, because the remaining managers may have to elect a leader first.
    eventually(lambda: "This node has been removed from the swarm" in former.refused(status, {}, url=place), 40)
    former.close()
    listing = ("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}")

    def remaining():
        rows = managers[1].hawse(*listing, check=False).stdout.splitlines()
        return sum("Reachable" in row or "Leader" in row for row in rows)

    eventually(lambda: remaining() == 2, 20)
    eventually(lambda: managers[1].hawse("network", "rm", "after", check=False).returncode == 0, 30)


def status_of(host):
    listing = ("node", "ls", "--filter", f"id={load(host.root).node_id}", "--format", "{{.ManagerStatus}}")
    return host.hawse(*listing).stdout


def managers_of(host):
    return load(host.root).managers
