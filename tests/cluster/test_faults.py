"""What happens to names and traffic when parts of a cluster die, each for real."""

import os
import signal
import time

import pytest

from tests.cluster.conftest import LEASE, eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]
GONE = LEASE + 6
"""Seconds in which a dead host's endpoints must be gone."""


@pytest.fixture(scope="module")
def three(cluster):
    """A manager and two workers, each with a container on one network."""
    hosts = cluster.grow(3)
    hosts[0].hawse("network", "create", "-d", "overlay", "--attachable", "app")
    for number, host in enumerate(hosts, 1):
        host.start(f"c{number}", "app")
    eventually(lambda: hosts[0].reaches("c1", "c3"))
    return hosts


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def clean(hosts):
    return all(h.verify("app").stdout == "" for h in hosts)


def test_a_killed_agent_is_missed_by_nobody(three):
    _, b, c = three
    agent = b.agent_pid()
    kill(agent)
    assert c.hawse("exec", "c3", "busybox", "ping", "-c2", "-W1", b.ip("c2", "app")).returncode == 0
    b.hawse("network", "ls")
    assert b.agent_pid() != agent
    eventually(lambda: b.reaches("c2", "c3"))


def test_a_guard_brings_a_killed_agent_back_without_any_command(three):
    b = three[1]
    agent = b.agent_pid()
    kill(agent)
    eventually(lambda: b.agent_pid() not in (agent, 0))
    eventually(lambda: b.reaches("c2", "c1"))


def test_a_killed_store_comes_back(three):
    a = three[0]
    kill(a.pid_of("etcd"))
    eventually(lambda: a.hawse("network", "create", "-d", "overlay", "again", check=False).returncode == 0, 20)
    a.hawse("network", "rm", "again")


def test_without_the_store_traffic_and_names_go_on_and_changes_fail_fast(three):
    a, b, c = three
    os.kill(a.pid_of("etcd"), signal.SIGSTOP)
    try:
        time.sleep(LEASE + 2)  # every lease runs out as far as the hosts can tell
        assert b.reaches("c2", "c3") and c.reaches("c3", "c2")
        began = time.monotonic()
        refused = b.hawse("run", "-d", "--name", "late", "--network", "app", "hostfs", "sleep", "1", check=False)
        assert "the cluster's store does not answer" in refused.stderr
        assert (
            "the cluster's store does not answer"
            in a.hawse("network", "create", "-d", "overlay", "x", check=False).stderr
        )
        assert time.monotonic() - began < 20
        b.hawse("stop", "-t0", "c2")
        b.hawse("rm", "late")
    finally:
        os.kill(a.pid_of("etcd"), signal.SIGCONT)
    eventually(lambda: not c.reaches("c3", "c2"), 20)
    eventually(lambda: c.reaches("c3", "c1"), 20)
    b.hawse("start", "c2")
    eventually(lambda: c.reaches("c3", "c2"), 20)
    eventually(lambda: clean(three), 20)


def test_an_agent_that_starts_without_the_store_still_knows_the_names(three):
    a, b, _ = three
    os.kill(a.pid_of("etcd"), signal.SIGSTOP)
    try:
        time.sleep(2)
        kill(b.agent_pid())
        b.hawse("network", "ls")
        assert eventually(lambda: b.reaches("c2", "c3"))
    finally:
        os.kill(a.pid_of("etcd"), signal.SIGCONT)
    eventually(lambda: clean(three), 20)


def test_a_partitioned_host_is_dropped_at_its_lease_s_end_and_rejoins(three):
    a, b, c = three
    b.cut()
    eventually(
        lambda: a.hawse("exec", "c1", "busybox", "nslookup", "c2", "127.0.0.11", check=False).returncode != 0, GONE
    )
    assert a.reaches("c1", "c3")
    assert "Down" in a.hawse("node", "ls").stdout
    began = time.monotonic()
    refused = b.hawse("run", "-d", "--name", "cut", "--network", "app", "hostfs", "sleep", "1", check=False)
    assert refused.returncode == 125 and time.monotonic() - began < 15
    b.mend()
    b.hawse("rm", "cut")
    eventually(lambda: a.reaches("c1", "c2") and b.reaches("c2", "c1") and c.reaches("c3", "c2"), 20)
    eventually(lambda: clean(three), 20)


def test_a_dead_host_s_addresses_stay_its_own_until_it_is_removed(three):
    a, b, _ = three
    taken = b.ip("c2", "app")
    b.cut()
    eventually(lambda: "Down" in a.hawse("node", "ls").stdout, GONE)
    refused = a.hawse(
        "run", "-d", "--name", "heir", "--network", "app", "--ip", taken, "hostfs", "sleep", "1", check=False
    )
    assert "attaching to network failed" in refused.stderr
    a.hawse("rm", "heir")
    b.mend()
    eventually(lambda: a.reaches("c1", "c2"), 20)


def test_an_address_that_moves_to_another_host_reaches_the_new_place(three):
    a, b, c = three
    b.start("mover", "app", "--ip", "10.0.1.200")
    assert a.reaches("c1", "10.0.1.200")
    b.hawse("rm", "-f", "mover")
    c.start("mover", "app", "--ip", "10.0.1.200")
    eventually(lambda: a.reaches("c1", "10.0.1.200") and b.reaches("c2", "mover"))
    c.hawse("rm", "-f", "mover")


def test_a_watch_gap_with_compaction_is_caught_up(three):
    a, b, c = three
    kill(b.agent_pid())
    c.start("gap", "app")
    a.tool("app", "compact")
    b.hawse("network", "ls")
    eventually(lambda: b.reaches("c2", "gap"))
    c.hawse("rm", "-f", "gap")
    eventually(lambda: clean(three))


def test_verify_tells_what_others_changed_and_fixes_it(three):
    a = three[0]
    assert a.verify("app").returncode == 0
    a.tool("app", "forget")
    found = a.verify("app")
    assert found.returncode == 1 and "missing" in found.stdout
    assert a.verify("app", "--fix").returncode == 1
    assert a.verify("app").stdout == ""


def test_a_host_that_died_and_lost_its_kernel_state_comes_back(three):
    a, b, _ = three
    b.kill_processes()
    eventually(lambda: "Down" in a.hawse("node", "ls").stdout, GONE)
    assert not a.reaches("c1", "c2")
    b.hawse("network", "ls")
    b.hawse("start", "c2")
    eventually(lambda: a.reaches("c1", "c2"), 20)
    eventually(lambda: clean(three), 20)
