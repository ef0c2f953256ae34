"""After the removal of all containers and networks, the host has the state that it had before hawse ran."""

import fcntl
import time

import pytest

pytestmark = pytest.mark.netns


def dump(host):
    return {
        "links": host.sh("ip -br link; ip -br addr"),
        "routes": host.sh("ip route show table all; ip -6 route show table all | grep -v fe80"),
        "mounts": host.sh(f"grep -F {host.state} /proc/self/mountinfo", check=False),
        "sysctls": host.sh("sysctl -a 2>/dev/null | grep -E 'forward|route_localnet|accept_ra |disable_ipv6' | sort"),
        "rules": host.sh("nft list ruleset"),
        "containers": sorted(p.name for p in (host.root / "containers").glob("[!.]*")),
        "runtime": sorted(p.name for p in (host.run_dir / "containers").glob("*")),
        "namespaces": sorted(p.name for p in (host.run_dir / "netns").glob("*")),
    }


def settled(host, expected):
    deadline = time.monotonic() + 15
    while (now := dump(host)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return now


def test_an_emptied_host_is_in_the_state_before_hawse(host):
    before = dump(host)
    host.hawse("network", "create", "n1")
    host.hawse("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "--internal", "n2")
    host.hawse("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "n3")
    host.hawse("run", "-d", "--name", "c0", "-p", "1:1", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "c1", "--network", "n1", "-p", "8000-8010:8000-8010", "hostfs", "sleep", "1d")
    host.hawse(
        "run", "-d", "--name", "c2", "--network", "n2", "--network", "n3", "-p", "81:81/udp", "hostfs", "sleep", "1d"
    )
    host.hawse("network", "connect", "n3", "c1")
    host.hawse("network", "disconnect", "n1", "c1")
    host.hawse("rm", "-f", "c0", "c1", "c2")
    host.hawse("network", "rm", "n1", "n2", "n3")
    assert settled(host, before) == before


def test_an_emptied_host_is_cleaned_although_another_command_runs_at_that_time(host):
    """The other command holds the host lock when the clean-up begins, a second after the last removal."""
    before = dump(host)
    host.hawse("network", "create", "n1")
    with open(host.run_dir / "locks/host") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        host.hawse("network", "rm", "n1")
        time.sleep(1.5)
        assert "table inet hawse" in host.sh("nft list tables")
    assert settled(host, before) == before


def test_a_host_is_cleaned_only_after_the_last_of_several_removals(host):
    """Each `run --rm` of a loop would otherwise make the default bridge again."""
    before = dump(host)
    host.hawse("network", "create", "n1")
    host.hawse("network", "rm", "n1")
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        host.hawse("network", "prune", "-f")
    assert "table inet hawse" in host.sh("nft list tables")
    assert settled(host, before) == before


def test_removing_one_container_removes_only_its_elements_and_files(host):
    host.hawse("network", "create", "n1")
    host.hawse("run", "-d", "--name", "stays", "--network", "n1", "-p", "80:80", "hostfs", "sleep", "1d")
    before = dump(host)
    host.hawse("run", "-d", "--name", "goes", "--network", "n1", "-p", "8000-8010:8000-8010", "hostfs", "sleep", "1d")
    host.hawse("rm", "-f", "goes")
    assert settled(host, before) == before


def test_files_that_a_killed_removal_left_go_with_the_next_one(host):
    left = host.root / "containers" / ".discarded" / "left" / "layer"
    left.mkdir(parents=True)
    host.hawse("create", "--name", "goes", "hostfs", "true")
    host.hawse("start", "goes")
    host.hawse("rm", "-f", "goes")
    deadline = time.monotonic() + 15
    while list(left.parent.parent.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(left.parent.parent.iterdir()) == []
