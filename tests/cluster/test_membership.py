"""Hosts create, join and leave a cluster.

hawse prints the same messages as Docker. No failed command leaves a host half-joined.
"""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.conftest import FAILS_LATE, KILLED_LATE, eventually, processes_of, shifted_clock
from tests.conftest import loaded
from tests.netns.engine.killing import killed

pytestmark = pytest.mark.netns
OUTSIDE = 'This node is not a swarm manager. Use "hawse swarm init" or "hawse swarm join"'
BUSY = """from engine.errors import Unavailable
from engine.swarm import swarm

def fail(*_, force):
    raise Unavailable("busy")

swarm.disconnect.disconnect = fail
"""
WITHOUT_INGRESS = """from engine.errors import Unavailable
from engine.swarm import swarm

def fail(*_):
    raise Unavailable("too busy")

swarm.shared_networks.create = fail
"""
WITHOUT_AGENT = "from engine.swarm import swarm\nswarm.notify = lambda *_: None"
UNCHECKED = "from drivers.overlay import OverlayDriver\nOverlayDriver.check_network = lambda *_: None"
"""Program for a command that creates overlay networks without the driver's checks, as earlier versions did."""
WORKER = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."


@pytest.fixture(scope="module")
def first(cluster):
    return cluster.init()


@pytest.fixture(scope="module")
def outsider(cluster, first):
    """A host that belongs to no cluster before and after each test."""
    return cluster.add_host()


def refused(host, *argv):
    result = host.hawse(*argv, check=False, timeout=30)
    assert result.returncode == 1
    return result.stderr


def assert_outside(host):
    assert not (host.root / "cluster").exists() and not (host.root / "cluster.new").exists()
    assert "inactive" in host.hawse("info", "-f", "{{.Swarm.LocalNodeState}}").stdout
    assert not any("etcd" in line for line in processes_of(host))


def test_init_makes_the_host_a_leader_and_creates_docker_s_networks(first):
    token = first.hawse("swarm", "join-token", "-q", "worker").stdout.strip()
    assert (
        f"    hawse swarm join --token {token} 192.168.99.11:2377\n"
        in first.hawse("swarm", "join-token", "worker").stdout
    )
    names = first.hawse("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").stdout.splitlines()
    assert names == [
        "bridge bridge local",
        "docker_gwbridge bridge local",
        "host host local",
        "ingress overlay swarm",
        "none null local",
    ]
    row = first.hawse("node", "ls", "--format", "{{.Self}} {{.Status}} {{.Availability}} {{.ManagerStatus}}").stdout
    assert row == "true Ready Active Leader\n"
    shown = first.hawse("info").stdout
    assert "\n  Is Manager: true\n  ClusterID: " in shown
    assert "\n  Managers: 1\n  Nodes: 1\n  Default Address Pool: 10.0.0.0/8\n  SubnetSize: 24\n" in shown
    facts = first.hawse("info", "-f", "{{.Swarm.ControlAvailable}} {{.Swarm.Nodes}} {{.Swarm.Cluster.SubnetSize}}")
    assert facts.stdout == "true 1 24\n"


def test_only_root_can_read_the_secrets(first):
    modes = subprocess.run(["find", first.root / "cluster", "-perm", "/077"], capture_output=True, text=True)
    assert modes.stdout == ""


def test_a_second_init_or_join_is_refused(first):
    assert "This node is already part of a swarm." in refused(first, "swarm", "init")
    assert "This node is already part of a swarm." in refused(first, "swarm", "join", "--token", "x", "192.168.99.11")


def test_without_a_cluster_every_verb_says_so(outsider):
    for argv in (
        ("node", "ls"),
        ("node", "rm", "x"),
        ("swarm", "join-token", "worker"),
        ("network", "create", "-d", "overlay", "x"),
    ):
        assert OUTSIDE in refused(outsider, *argv)
    assert "This node is not part of a swarm" in refused(outsider, "swarm", "leave")
    assert "cannot create a swarm scoped network when swarm is not active" in refused(
        outsider, "network", "create", "--scope", "swarm", "x"
    )


def test_a_host_is_ready_as_soon_as_it_has_joined(cluster, first, outsider):
    """As with Docker. The host's agent may start late on a busy machine; this one never learns of the cluster."""
    outsider.kill_processes()
    outsider.hawse("swarm", "join", "--token", cluster.token(), "192.168.99.11:2377", code=WITHOUT_AGENT)
    assert first.hawse("node", "ls", "--format", "{{.Status}}").stdout == "Ready\n" * 2
    outsider.hawse("swarm", "leave", code=WITHOUT_AGENT)
    forget_down_nodes(first)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda t: "nonsense", "invalid join token"),
        (
            lambda t: t[:-2] + ("aa" if not t.endswith("aa") else "bb"),
            "A valid join token is necessary to join this cluster",
        ),
        (lambda t: t.replace("SWMTKN-1-", "SWMTKN-1-0", 1)[:60] + t[59:], "remote CA does not match fingerprint"),
    ],
)
def test_wrong_tokens_leave_no_half_joined_host(cluster, outsider, spoil, text):
    token = cluster.token()
    version, number, digest, secret = token.split("-")
    if "fingerprint" in text:
        spoilt = f"{version}-{number}-{'0' + digest[1:] if digest[0] != '0' else '1' + digest[1:]}-{secret}"
    else:
        spoilt = spoil(token)
    assert text in refused(outsider, "swarm", "join", "--token", spoilt, "192.168.99.11:2377")
    assert_outside(outsider)


def test_an_address_without_a_manager_is_reported_immediately(cluster, outsider):
    began = time.monotonic()
    assert "connection refused" in refused(outsider, "swarm", "join", "--token", cluster.token(), "192.168.99.11:2399")
    assert time.monotonic() - began < loaded(10)
    assert_outside(outsider)


def test_joining_a_manager_that_is_out_of_reach_fails_within_ten_seconds(cluster, outsider):
    join = ("swarm", "join", "--token", cluster.token())
    assert "no route to host" in refused(outsider, *join, "192.168.99.77:2377")
    with outsider.dropping("input"):
        began = time.monotonic()
        assert "connect: timed out" in refused(outsider, *join, "192.168.99.11:2377")
        assert time.monotonic() - began < loaded(10)
    assert_outside(outsider)


def test_joining_while_the_store_is_down_is_refused_at_once(cluster, first, outsider):
    token, store = cluster.token(), first.pid_of("etcd")
    os.kill(store, signal.SIGSTOP)
    try:
        began = time.monotonic()
        refusal = refused(outsider, "swarm", "join", "--token", token, "192.168.99.11:2377")
        assert "the cluster's store does not answer" in refusal
        assert time.monotonic() - began < loaded(10)
    finally:
        os.kill(store, signal.SIGCONT)
    assert_outside(outsider)


@pytest.fixture
def clock(outsider):
    """Return a function that shifts the clock by some days for this host's commands and their child processes."""
    before = outsider.settings

    def set_by(days):
        outsider.settings = {**before, **shifted_clock(f"{days:+}d")}

    yield set_by
    outsider.settings = before


def test_a_clock_that_is_wrong_is_named_as_the_reason(cluster, outsider, clock):
    join = ("swarm", "join", "--token", cluster.token(), "192.168.99.11:2377")
    clock(-2)
    assert "is not yet valid: compare the clocks of the two hosts" in refused(outsider, *join)
    assert_outside(outsider)
    clock(+40)
    assert "has expired: compare the clocks of the two hosts" in refused(outsider, *join)
    assert_outside(outsider)
    clock(+2)
    outsider.kill_processes()
    eventually(lambda: outsider.hawse(*join, check=False).returncode == 0, 30)  # retry, because a busy disk slows etcd
    cluster.hosts[0].hawse("network", "create", "-d", "overlay", "--attachable", "skewed")
    outsider.start("c0", "skewed")
    cluster.hosts[0].start("c9", "skewed")
    eventually(lambda: outsider.reaches("c0", "c9") and cluster.hosts[0].reaches("c9", "c0"))
    outsider.hawse("rm", "-f", "c0")
    outsider.hawse("swarm", "leave")
    cluster.hosts[0].hawse("rm", "-f", "c9")
    cluster.hosts[0].hawse("network", "rm", "skewed")
    outsider.kill_processes()


def test_a_join_that_was_killed_leaves_a_host_that_can_join(cluster, outsider):
    join = ("swarm", "join", "--token", cluster.token(), "192.168.99.11:2377")
    for milliseconds in (400, 500, 600, 800):
        process = outsider.begin(*join)
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
        if (outsider.root / "cluster" / "membership.json").exists():
            outsider.hawse("swarm", "leave")
        assert "inactive" in outsider.hawse("info", "-f", "{{.Swarm.LocalNodeState}}").stdout
    outsider.hawse(*join)
    outsider.hawse("swarm", "leave")
    assert_outside(outsider)


def test_a_join_as_manager_that_fails_late_leaves_the_cluster_its_quorum(cluster, first, outsider):
    join = ("swarm", "join", "--token", cluster.token("manager"), "192.168.99.11:2377")
    assert "too late" in outsider.hawse(*join, code=FAILS_LATE, check=False).stderr
    assert_outside(outsider)
    assert first.tool("-", "members") == ["votes"]
    forget_down_nodes(first)


@pytest.mark.slow
def test_a_join_as_manager_that_was_killed_late_is_undone_by_the_next(cluster, first, outsider):
    join = ("swarm", "join", "--token", cluster.token("manager"), "192.168.99.11:2377")
    outsider.hawse(*join, code=KILLED_LATE, check=False)
    outsider.kill_processes()  # as a reboot does
    outsider.hawse(*join)
    assert first.tool("-", "members") == ["votes", "votes"]
    outsider.hawse("swarm", "leave", "--force")
    assert first.tool("-", "members") == ["votes"]
    forget_down_nodes(first)


@pytest.mark.parametrize("where", ["certificates.issue_own", "_enter"])
def test_a_leave_removes_what_a_killed_init_left(outsider, where):
    """The init is killed before and after the start of etcd."""
    init = ("swarm", "init", "--advertise-addr", outsider.underlay)
    killed(outsider, f"engine.swarm.swarm.{where}", *init)
    assert outsider.hawse("swarm", "leave").stdout == "Node left the swarm.\n"
    assert_outside(outsider)


@pytest.mark.parametrize("where", ["daemons.stop", "shutil.rmtree"])
def test_a_killed_leave_is_finished_by_the_next(outsider, where):
    outsider.hawse("swarm", "init", "--advertise-addr", outsider.underlay)
    killed(outsider, f"engine.swarm.swarm.{where}", "swarm", "leave", "--force")
    assert outsider.hawse("swarm", "leave", "--force").stdout == "Node left the swarm.\n"
    assert_outside(outsider)
    assert "not part of a swarm" in refused(outsider, "swarm", "leave", "--force")


def forget_down_nodes(manager):
    """Remove the nodes that are down, except the manager itself: a busy machine may let its short lease expire."""
    shown = manager.hawse("node", "ls", "--format", "{{.ID}} {{.Status}} {{.Self}}").stdout
    rows = [row.split() for row in shown.splitlines()]
    manager.hawse(
        "node", "rm", *(identity for identity, status, itself in rows if (status, itself) == ("Down", "false"))
    )


def test_init_creates_no_cluster_if_etcd_cannot_start(outsider):
    listen = f"import socket; s = socket.create_server(('{outsider.underlay}', 2380)); s.accept()"
    process = outsider.popen(sys.executable, "-c", listen)
    try:
        eventually(lambda: ":2380" in outsider.sh("ss -ltn"))
        refusal = refused(outsider, "swarm", "init", "--advertise-addr", outsider.underlay)
        assert "etcd did not start" in refusal and "address already in use" in refusal
    finally:
        process.kill()
        process.wait()
    assert_outside(outsider)


def test_init_fails_if_the_network_ingress_cannot_be_created(outsider):
    init = ("swarm", "init", "--advertise-addr", outsider.underlay)
    assert "too busy" in outsider.hawse(*init, code=WITHOUT_INGRESS, check=False).stderr
    assert_outside(outsider)


def test_of_several_commands_at_once_one_changes_the_membership(outsider):
    """The commands wait for each other, as Docker's do."""
    init = ("swarm", "init", "--advertise-addr", outsider.underlay)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: outsider.hawse(*init, check=False, timeout=90), range(3)))
    assert sorted(result.returncode for result in results) == [0, 1, 1], results
    assert all("This node is already part of a swarm." in r.stderr for r in results if r.returncode)
    assert len([line for line in processes_of(outsider) if "etcd" in line]) == 1
    assert outsider.hawse("node", "ls", "--format", "{{.Status}}").stdout == "Ready\n"
    outsider.hawse("swarm", "leave", "--force")
    assert_outside(outsider)


def test_a_gateway_bridge_that_the_user_made_need_not_have_its_second_address_free(outsider):
    outsider.hawse("network", "rm", "docker_gwbridge", check=False)  # an earlier test may have left it
    pools = ("--ipv6", "--subnet", "fd77::/64", "--subnet", "10.77.0.0/29", "--gateway", "10.77.0.2")
    outsider.hawse("network", "create", *pools, "docker_gwbridge")
    outsider.hawse("swarm", "init", "--advertise-addr", outsider.underlay)
    reserved = outsider.hawse("network", "inspect", "-f", "{{json .Containers}}", "docker_gwbridge").stdout
    assert '"IPv4Address":"10.77.0.1/29"' in reserved
    outsider.hawse("swarm", "leave", "--force")
    outsider.hawse("network", "rm", "docker_gwbridge")
    assert_outside(outsider)


def test_init_does_not_advertise_an_address_of_hawse_s_own_bridges(outsider):
    outsider.hawse("network", "create", "mine")
    outsider.start("c1", "mine")
    for _ in range(2):  # docker_gwbridge of the first cluster stays
        outsider.hawse("swarm", "init")
        outsider.hawse("swarm", "leave", "--force")
    outsider.hawse("rm", "-f", "c1")
    pruned = outsider.hawse("network", "prune", "-f").stdout.split()[2:]
    assert sorted(pruned) == ["docker_gwbridge", "mine"]
    eventually(lambda: outsider.sh("nft list tables; ip -br link show type bridge") == "")
    assert_outside(outsider)


def test_a_join_token_is_refused_after_its_rotation(cluster, first, outsider):
    old = cluster.token()
    assert "Successfully rotated worker join token." in first.hawse("swarm", "join-token", "--rotate", "worker").stdout
    assert cluster.token() != old
    assert "A valid join token is necessary" in refused(outsider, "swarm", "join", "--token", old, "192.168.99.11:2377")


def test_a_worker_joins_sees_little_and_leaves_without_a_trace(cluster, first, outsider):
    join = ("swarm", "join", "--token", cluster.token(), "192.168.99.11:2377")
    unfit = outsider.error_on_terminal(*join, "--manager")
    assert unfit.endswith("\n\nA manager prints the line with the valid token: hawse swarm join-token manager\n")
    joined = outsider.hawse(*join)
    assert joined.stdout == "This node joined a swarm as a worker.\n"
    first.hawse("network", "create", "-d", "overlay", "--attachable", "seen")
    assert "seen" not in outsider.hawse("network", "ls").stdout
    assert "network seen not found" in refused(outsider, "network", "rm", "seen")
    assert outsider.verify("seen").stdout == "ok\n", "no container of this host is on the network"
    assert "network unseen not found" in refused(outsider, "network", "verify", "unseen")
    assert WORKER in refused(outsider, "node", "ls") and WORKER in refused(outsider, "swarm", "join-token", "worker")
    promoted = "\n\nThis host is a worker. To make it a manager: hawse swarm leave, "
    for argv in (("node", "ls"), ("network", "create", "-d", "overlay", "x")):
        assert promoted in outsider.error_on_terminal(*argv)
    first.hawse("network", "create", "-d", "overlay", "closed")
    closed = outsider.error_on_terminal("run", "--rm", "--network", "closed", "hostfs", "true")
    assert closed.endswith("\n\nContainers can join an overlay network that was created with --attachable\n")
    first.hawse("network", "rm", "closed")
    outsider.start("c1", "seen")
    used = first.error_on_terminal("network", "rm", "seen")
    assert f"\n\nThe container c1 on the host {os.uname().nodename} is on it." in used
    assert "seen" in outsider.hawse("network", "ls").stdout
    assert "is in use by task" in refused(first, "network", "rm", "seen")
    node = outsider.hawse("info", "-f", "{{.Swarm.NodeID}}").stdout.strip()
    assert "is not down and can't be removed" in refused(first, "node", "rm", node)
    assert outsider.error_on_terminal("swarm", "leave") == ("c1 has no network now: hawse network connect NETWORK c1\n")
    assert "overlay" not in outsider.hawse("network", "ls").stdout
    assert_outside(outsider)
    eventually(lambda: "down" in first.hawse("node", "inspect", "-f", "{{.Status.State}}", node).stdout)
    assert first.hawse("node", "rm", node).stdout == node + "\n"
    first.hawse("network", "rm", "seen")
    outsider.hawse("rm", "-f", "c1")


def test_a_container_that_cannot_be_disconnected_stops_a_leave_without_force(cluster, first, outsider):
    outsider.hawse("swarm", "join", "--token", cluster.token(), "192.168.99.11:2377")
    first.hawse("network", "create", "-d", "overlay", "--attachable", "held")
    outsider.start("c1", "held")
    refused = outsider.hawse("swarm", "leave", code=BUSY, check=False)
    why = "container c1 cannot be disconnected from the swarm's networks: busy (--force leaves nevertheless)"
    assert refused.returncode == 1 and why in refused.stderr
    outsider.hawse("exec", "c1", "ip", "link", "show", "eth0")
    outsider.hawse("swarm", "leave", "--force", code=BUSY)
    assert_outside(outsider)
    outsider.hawse("network", "disconnect", "held", "c1")
    outsider.hawse("restart", "-t0", "c1")
    assert outsider.hawse("inspect", "-f", "{{json .NetworkSettings.Networks}}", "c1").stdout == "{}\n"
    outsider.hawse("rm", "-f", "c1")
    forget_down_nodes(first)
    first.hawse("network", "rm", "held")


def test_leaving_as_the_last_manager_needs_force(first):
    assert "participating as a manager" in refused(first, "swarm", "leave")
    first.hawse("swarm", "leave", "--force")
    assert_outside(first)


def test_networks_that_have_no_subnet_are_refused_and_stop_no_host(fresh):
    """Earlier versions recorded such networks. Then no host could join, and the network could not be removed."""
    first = fresh.init()
    secret = ("network", "create", "-d", "overlay", "--ipv4=false", "-o", "encrypted", "secret")
    ingress = ("network", "create", "-d", "overlay", "--ipv4=false", "--ingress", "empty")
    first.hawse("network", "rm", "ingress", input="y\n")
    for create in (secret, ingress):
        assert "IPv4 or IPv6 must be enabled" in refused(first, *create)
        first.hawse(*create, code=UNCHECKED)
    second = fresh.join("manager")
    fresh.join("worker")
    eventually(lambda: second.hawse("node", "ls", "--format", "{{.Status}}").stdout == "Ready\n" * 3)
    assert "secret" in second.hawse("network", "ls").stdout
    second.hawse("network", "rm", "secret")
    eventually(lambda: "secret" not in first.hawse("network", "ls").stdout)
    assert not any("Traceback" in (host.run_dir / "agent.log").read_text() for host in fresh.hosts)
