"""Name resolution and traffic in a cluster after some of its processes or hosts were killed."""

import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from engine.cluster import snapshot
from engine.store.api import IntentKind
from engine.store.sqlite import SqliteStore
from engine.store.store_file import NAME
from tests.cluster.conftest import LEASE, eventually
from tests.cluster.far_host import inside
from tests.conftest import loaded
from tests.netns.engine.killing import killed

pytestmark = pytest.mark.netns
GONE = LEASE + 6
"""Seconds after a host's death within which the other hosts must remove the dead host's endpoints."""


@pytest.fixture(scope="module")
def three(cluster):
    """Three hosts: a manager and two workers. Each host has a container on one common network."""
    hosts = cluster.grow(3)
    hosts[0].hawse("network", "create", "-d", "overlay", "--attachable", "app")
    for number, host in enumerate(hosts, 1):
        host.start(f"c{number}", "app")
    eventually(lambda: hosts[0].reaches("c1", "c3"))
    return tuple(hosts)


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def clean(hosts):
    return all(h.verify("app").stdout == "ok\n" for h in hosts)


def knows(host, container, name):
    return host.hawse("exec", container, "busybox", "nslookup", name, "127.0.0.11", check=False).returncode == 0


def down(manager, host):
    """Return whether the manager lists ``host`` as down."""
    node = host.hawse("info", "-f", "{{.Swarm.NodeID}}").stdout.strip()
    return manager.hawse("node", "inspect", "-f", "{{.Status.State}}", node).stdout.strip() == "down"


@contextmanager
def stopped(host):
    """Stop the host's etcd with SIGSTOP until the ``with`` block ends."""
    os.kill(host.pid_of("etcd"), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(host.pid_of("etcd"), signal.SIGCONT)


@contextmanager
def cut(host):
    host.cut()
    try:
        yield
    finally:
        host.repair()


def test_a_killed_agent_interrupts_no_traffic_and_no_names(three):
    _, b, c = three
    agent = b.agent_pid()
    kill(agent)
    assert c.hawse("exec", "c3", "busybox", "ping", "-c2", "-W5", b.ip("c2", "app")).returncode == 0
    b.hawse("network", "ls")
    assert b.agent_pid() != agent
    eventually(lambda: b.reaches("c2", "c3"))


def test_a_guard_brings_a_killed_agent_back_without_any_command(three):
    b = three[1]
    agent = b.agent_pid()
    kill(agent)
    eventually(lambda: b.agent_pid() not in (agent, 0))
    eventually(lambda: b.reaches("c2", "c1"))


def test_the_namespace_that_a_killed_start_made_is_deleted_with_its_network(three):
    a, b, _ = three
    a.hawse("network", "create", "-d", "overlay", "--attachable", "begun")
    b.tool("begun", "begin")
    assert len(places(b)) == 2
    a.hawse("network", "rm", "begun")
    eventually(lambda: len(places(b)) == 1)


def test_the_next_agent_deactivates_a_network_that_a_killed_command_left_active(three):
    a, b, _ = three
    a.hawse("network", "create", "-d", "overlay", "--attachable", "idle")
    b.tool("idle", "raise_up")
    assert "idle" in b.hawse("network", "ls").stdout and len(places(b)) == 2
    kill(b.agent_pid())  # the next agent looks for networks without endpoints when it starts
    eventually(lambda: len(places(b)) == 1)
    assert "idle" not in b.hawse("network", "ls").stdout
    a.hawse("network", "rm", "idle")


def places(host):
    return [file for file in (host.run_dir / "overlay").glob("*") if len(file.name) == 12]


def test_a_killed_etcd_is_started_again(three):
    a = three[0]
    kill(a.pid_of("etcd"))
    eventually(lambda: a.hawse("network", "create", "-d", "overlay", "again", check=False).returncode == 0, 20)
    a.hawse("network", "rm", "again")


def test_without_the_store_traffic_and_names_go_on_and_changes_fail_fast(three):
    a, b, c = three
    with stopped(a):
        for host, text, argv in (
            (
                b,
                "the cluster's store does not answer",
                ("run", "-d", "--name", "late", "--network", "app", "hostfs", "true"),
            ),
            (a, "the cluster's store does not answer", ("network", "create", "-d", "overlay", "x")),
            (a, "the cluster's store does not answer", ("network", "rm", "app")),
        ):
            began = time.monotonic()
            assert text in host.hawse(*argv, check=False).stderr
            assert time.monotonic() - began < loaded(6), "two to four seconds on a quiet machine"
        b.hawse("stop", "-t0", "c2")
        time.sleep(LEASE + 2)  # by then, the etcd leases of all hosts have expired
        assert a.reaches("c1", "c3") and c.reaches("c3", "c1")
        kill(b.agent_pid())
        b.hawse("network", "ls")
        b.hawse("rm", "late")
    eventually(lambda: not c.reaches("c3", "c2"), 20)
    eventually(lambda: c.reaches("c3", "c1"), 20)
    b.hawse("start", "c2")
    eventually(lambda: c.reaches("c3", "c2"), 20)
    eventually(lambda: clean(three), 20)


def test_an_agent_that_starts_without_the_store_still_knows_the_names(three):
    a, b, _ = three
    eventually(lambda: "c3" in (b.root / "cluster" / snapshot.FILE).read_text())  # saved by the agent every second
    with stopped(a):
        kill(b.agent_pid())
        b.hawse("network", "ls")
        assert eventually(lambda: b.reaches("c2", "c3"))
    eventually(lambda: clean(three), 20)


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["both", "input", "output"])
def test_a_partitioned_host_is_dropped_at_its_lease_s_end_and_rejoins(three, direction):
    a, b, c = three
    with cut(b) if direction == "both" else b.dropping(direction):
        eventually(lambda: not knows(a, "c1", "c2"), GONE)
        assert a.reaches("c1", "c3")
        assert down(a, b)
        assert knows(b, "c2", "c1"), "the host itself keeps what it knew last"
        began = time.monotonic()
        refused = b.hawse("run", "-d", "--name", "cut", "--network", "app", "hostfs", "sleep", "1", check=False)
        assert refused.returncode == 125 and "the cluster's store does not answer" in refused.stderr
        assert time.monotonic() - began < loaded(6), "two to four seconds on a quiet machine"
    b.hawse("rm", "cut")
    eventually(lambda: a.reaches("c1", "c2") and b.reaches("c2", "c1") and c.reaches("c3", "c2"), 20)
    eventually(lambda: clean(three), 20)


@pytest.mark.slow
def test_a_dead_host_s_addresses_stay_its_own_until_it_is_removed(three):
    a, b, _ = three
    taken = b.ip("c2", "app")
    with cut(b):
        eventually(lambda: down(a, b), GONE)
        heir = ("run", "-d", "--name", "heir", "--network", "app", "--ip", taken, "hostfs", "sleep", "1")
        assert "attaching to network failed" in a.hawse(*heir, check=False).stderr
        a.hawse("rm", "heir")
    eventually(lambda: a.reaches("c1", "c2"), 20)


@pytest.mark.slow
def test_an_address_of_a_removed_host_reaches_only_its_new_container_even_when_the_host_returns(cluster, three):
    a, _, c = three
    lost = cluster.join()
    lost.start("old", "app")
    address, node = lost.ip("old", "app"), lost.hawse("info", "-f", "{{.Swarm.NodeID}}").stdout.strip()
    assert a.reaches("c1", address)
    with cut(lost):
        eventually(lambda: down(a, lost), GONE)
        a.hawse("node", "rm", "--force", node)
        c.start("heir", "app", "--ip", address)
        mac = hardware(c, "heir")
        assert eventually(lambda: answering(a, "c1", address) == mac)
    time.sleep(LEASE)
    assert answering(a, "c1", address) == mac and answering(three[1], "c2", address) == mac
    assert clean(three)
    lost.hawse("swarm", "leave")
    c.hawse("rm", "-f", "heir")


def hardware(host, container):
    return host.hawse("exec", container, "cat", "/sys/class/net/eth0/address").stdout.strip()


def answering(host, container, address):
    """Ping an address from a container; return the MAC that the container's neighbour table then has for the
    address.
    """
    script = (
        f"busybox ping -c1 -W1 {address} >/dev/null && ip neigh show {address} | sed 's/.*lladdr \\([^ ]*\\).*/\\1/'"
    )
    return host.hawse("exec", container, "sh", "-c", script, check=False).stdout.strip()


def test_an_address_that_moves_to_another_host_reaches_the_new_place(three):
    a, b, c = three
    b.start("mover", "app", "--ip", "10.0.1.200")
    assert a.reaches("c1", "10.0.1.200")
    b.hawse("rm", "-f", "mover")
    c.start("mover", "app", "--ip", "10.0.1.200")
    eventually(lambda: a.reaches("c1", "10.0.1.200") and b.reaches("c2", "mover"))
    c.hawse("rm", "-f", "mover")


def test_the_next_agent_learns_changes_that_etcd_no_longer_has_in_its_history(three):
    a, b, c = three
    kill(b.agent_pid())
    c.start("gap", "app")
    a.tool("app", "compact")
    b.hawse("network", "ls")
    eventually(lambda: b.reaches("c2", "gap"))
    c.hawse("rm", "-f", "gap")
    eventually(lambda: clean(three))


@pytest.mark.slow
def test_a_store_restored_from_a_backup_learns_the_endpoints_that_exist_now(three):
    """The hosts agree at the latest after their next full comparison, which they make each minute."""
    a, b, _ = three
    data, backup = a.root / "cluster" / "etcd", a.root / "backup"
    with stopped(a):
        shutil.copytree(data, backup)
    a.hawse("network", "create", "-d", "overlay", "--attachable", "later")
    b.start("stranded", "later")  # its network is not in the backup
    b.start("new", "app")
    a.tool("app", "30")  # endpoints that only the store has, so that the restored store is many revisions behind
    eventually(lambda: a.reaches("c1", "new") and knows(b, "c2", "x29-1"))
    with stopped(a):
        shutil.rmtree(data)
        backup.rename(data)
        kill(a.pid_of("etcd"))
    eventually(lambda: "later" not in a.hawse("network", "ls", check=False).stdout, 20)
    eventually(lambda: not knows(b, "c2", "x29-1") and clean(three), 90)
    assert b.ip("new", "app") in a.hawse("exec", "c1", "busybox", "nslookup", "new", "127.0.0.11").stdout
    assert (b.run_dir / "agent.log").read_text().count("network later not found") <= 1
    b.hawse("rm", "-f", "new", "stranded")


def test_verify_reports_and_repairs_changes_of_other_programs(three):
    a, b, _ = three
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "hawse.heal=false", "left-alone")
    a.start("l1", "left-alone")
    b.start("l2", "left-alone")
    eventually(lambda: a.verify("left-alone").returncode == 0)
    a.tool("left-alone", "forget")
    result = a.verify("left-alone")
    assert result.returncode == 1 and "missing" in result.stdout
    assert a.verify("left-alone", "--fix").stdout.startswith("repaired: missing")
    assert a.verify("left-alone").stdout == "ok\n"


def test_verify_finishes_the_work_of_a_killed_command_only_with_fix(fresh):
    a = fresh.init()
    a.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    a.start("one", "bridge")
    killed(a, "engine.endpoints.sandbox.admit_siblings", "network", "connect", "app", "one")
    store = SqliteStore(a.root / NAME)

    def state():
        with store.read() as reader:
            return reader.intents(), reader.endpoints(), reader.containers(), inside(a, "ip -o link show").stdout

    before = state()
    assert [intent.kind for intent in before[0]] == [IntentKind.ENDPOINT_CHANGE]
    a.verify("app")
    assert state() == before
    a.verify("app", "--fix")
    with store.read() as reader:
        assert (reader.intents(), len(reader.endpoints())) == ([], len(before[1]) - 1)


@pytest.mark.slow
def test_a_host_that_died_and_lost_its_kernel_state_comes_back(three):
    a, b, _ = three
    b.kill_processes()
    eventually(lambda: not a.reaches("c1", "c2") and not knows(a, "c1", "c2"), GONE)
    b.hawse("network", "ls")
    b.hawse("start", "c2")
    eventually(lambda: a.reaches("c1", "c2"), 20)
    eventually(lambda: clean(three), 20)


@pytest.mark.slow
@pytest.mark.parametrize("which", [1, 0], ids=["worker", "manager"])
def test_a_rebooted_host_rejoins_with_its_addresses_and_its_containers_with_restart_always(three, which):
    host, other = three[which], three[2]
    host.start("kept", "app", "--restart", "always")
    address = host.ip("kept", "app")
    assert other.reaches("c3", "kept")
    host.reboot()
    assert not other.reaches("c3", address)
    booted = host.hawse("system", "boot")  # as systemd does; etcd is not ready yet, because the agent starts etcd
    assert (booted.stdout, booted.stderr) == ("Networks: 1, containers: 1, namespaces: 0\n", "")
    assert host.ip("kept", "app") == address
    eventually(lambda: other.reaches("c3", "kept"), 30)
    host.hawse("start", f"c{which + 1}")
    eventually(lambda: other.reaches("c3", f"c{which + 1}") and host.reaches("kept", "c3"), 20)
    host.hawse("rm", "-f", "kept")
    eventually(lambda: clean(three), 20)


@pytest.mark.slow
def test_a_boot_without_the_store_restores_local_containers_and_reports_the_others(three):
    manager, host, _ = three
    host.hawse("run", "-d", "--name", "local", "--restart", "always", "hostfs", "sleep", "1d")
    host.start("kept", "app", "--restart", "always")
    address = host.ip("kept", "app")
    manager.cut()
    host.reboot()
    failed = host.hawse("system", "boot", "--timeout", "1", check=False)
    assert (failed.returncode, failed.stderr.startswith("container kept: "), failed.stderr.count("\n")) == (1, True, 1)
    assert host.hawse("ps", "--format", "{{.Names}}").stdout == "local\n"
    threading.Timer(3, manager.repair).start()
    assert host.hawse("system", "boot").stderr == "", "without --timeout, the boot waits for the store"
    assert host.ip("kept", "app") == address
    host.hawse("rm", "-f", "kept", "local")
    host.hawse("start", "c2")
    eventually(lambda: clean(three), 20)


@pytest.mark.parametrize(
    ("networks", "where", "change"),
    [
        (["app", "local"], "engine.endpoints.sandbox.join", "disconnect"),
        (["app"], "engine.endpoints.sandbox.leave", "connect"),
    ],
)
def test_a_command_killed_at_the_gateway_bridge_costs_neither_route_nor_ports(fresh, networks, where, change):
    a = fresh.init()
    a.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    a.hawse("network", "create", "local")
    a.start("web", networks[0], *(f"--network={name}" for name in networks[1:]), "-p", "7000:70")
    killed(a, where, "network", change, "local", "web")
    a.hawse("network", "create", "any")
    [route] = a.hawse("exec", "web", "ip", "route", "show", "default").stdout.splitlines()
    address = route.split()[2].rpartition(".")[0]
    assert f"tcp . 7000 : {address}" in a.sh("nft list table inet hawse")
    assert a.hawse("port", "web").stdout.splitlines()[0] == "70/tcp -> 0.0.0.0:7000"
    links = a.hawse("exec", "web", "ip", "-br", "link").stdout.splitlines()
    assert len([line for line in links if line.startswith("eth")]) == 2


def test_a_network_is_usable_after_a_kill_before_its_kernel_objects_are_deleted(fresh):
    a = fresh.init()
    a.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    a.start("one", "app")
    killed(a, "engine.cluster.local_networks.delete_local", "rm", "-f", "one")
    a.hawse("network", "create", "any")
    assert places(a) == []
    a.start("two", "app")
    a.start("three", "app")
    assert a.reaches("two", "three")
