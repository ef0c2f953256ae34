"""A container has a name for `ip netns`: /run/netns/NAME exists while the container runs."""

import json
import os
import signal
import subprocess

import pytest

from tests.conftest import COUNTER, Host, Netns, Peer, require_root
from tests.netns.engine.killing import killed

pytestmark = pytest.mark.netns
PREFIX = f"hwtc{os.getpid()}"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Two hosts of one machine, which share /run/netns."""
    require_root()
    peer = Peer(f"hwt{os.getpid()}np{next(COUNTER)}", ipv6=True)
    state = tmp_path_factory.mktemp("names")
    made = [Host(f"hwt{os.getpid()}nh{next(COUNTER)}", peer, state, index) for index in (1, 2)]
    for host in made:
        host.hawse("network", "create", "app")
    yield made
    for host in made:
        host.delete()
    peer.delete()


@pytest.fixture
def name():
    """A container name that no other object on this machine uses, neither before nor after the test."""
    name = f"{PREFIX}x{next(COUNTER)}"
    yield name
    assert left(name) == set()


def left(name):
    """Return the entries of /run/netns and /etc/netns that begin with a name."""
    entries = [*os.listdir("/run/netns"), *os.listdir("/etc/netns")]
    return {entry for entry in entries if entry.startswith(name)}


def run(host, name, *flags):
    host.hawse("run", "-d", "--name", name, *flags, "hostfs", "sleep", "1d")


def inside(name, *argv):
    """Run a command by `ip netns exec`; return its output, or None if it fails, for example without the namespace."""
    done = subprocess.run(["ip", "netns", "exec", name, *argv], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def offered(host):
    """Return the names of namespaces that completion offers."""
    return host.hawse("__complete", "namespaces", "0").stdout.split()


def address(host, name):
    return json.loads(host.hawse("inspect", name).stdout)[0]["NetworkSettings"]["Networks"]["app"]["IPAddress"]


def test_a_container_has_its_name_through_restarts_and_renames(hosts, name):
    host, other = hosts
    run(host, name, "--network", "app")
    assert f" {address(host, name)}/16" in inside(name, "ip", "-br", "addr")
    assert inside(name, "getent", "hosts", name).split()[0] == address(host, name)
    assert name in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split()
    run(other, name, "--network", "app")  # the other host's container gets no name, and does not remove the first one's
    other.hawse("rm", "-f", name)
    host.hawse("restart", "-t0", name)
    assert f" {address(host, name)}/16" in inside(name, "ip", "-br", "addr")
    new = f"{name}new"
    host.hawse("rename", name, new)
    assert inside(name, "true") is None
    assert inside(new, "getent", "hosts", new).split()[0] == address(host, new)
    host.hawse("network", "connect", "bridge", f"netns:{new}")  # netns:NAME also selects a container
    assert "eth1" in inside(new, "ip", "-br", "link")
    assert host.hawse("ps", "-a", "--format", "{{.Names}}").stdout == f"{new}\n"
    host.hawse("stop", "-t0", new)
    assert left(name) == set()
    host.hawse("start", new)
    assert inside(new, "true") is not None
    os.kill(int(host.hawse("inspect", "-f", "{{.State.Pid}}", new).stdout), signal.SIGKILL)
    host.hawse("wait", new)
    assert left(name) == set()
    host.hawse("rm", new)


def test_names_of_other_programs_are_never_changed(hosts, name):
    host, foreign = hosts[0], Netns(name)
    inode = os.stat(foreign.path).st_ino
    run(host, name)
    host.hawse("rename", name, f"{name}b")
    host.hawse("rename", f"{name}b", name)
    host.hawse("rm", "-f", name)
    assert (os.stat(foreign.path).st_ino, left(name)) == (inode, {name})
    assert name in offered(host)
    foreign.delete()
    os.makedirs(f"/etc/netns/{name}")
    run(host, name)
    assert name not in offered(host)  # the completion of netns: omits containers
    assert os.listdir(f"/etc/netns/{name}") == []
    os.rmdir(f"/etc/netns/{name}")
    host.hawse("rm", "-f", name)


def test_host_mode_and_the_setting_give_no_name(hosts, name, tmp_path):
    host, config = hosts[0], tmp_path / "daemon.json"
    run(host, name, "--network", "host")
    assert left(name) == set()
    host.hawse("rm", "-f", name)
    config.write_text('{"netns-names": false}')
    host.hawse("run", "-d", "--name", name, "hostfs", "sleep", "1d", env={"HAWSE_CONFIG": str(config)})
    assert left(name) == set()
    host.hawse("rm", "-f", name)


def test_a_killed_start_leaves_no_name(hosts, name):
    host = hosts[0]
    host.hawse("create", "--name", name, "--network", "app", "hostfs", "sleep", "1d")
    killed(host, "engine.containers.start._run", "start", name)
    assert left(name) == {name}
    host.hawse("network", "create", f"after{next(COUNTER)}")
    assert left(name) == set()
    host.hawse("rm", name)


@pytest.mark.parametrize("point", ["add", "remove"])
def test_a_killed_rename_leaves_one_name(hosts, name, point):
    host, new = hosts[0], f"{name}new"
    run(host, name)
    killed(host, f"engine.containers.sandbox_links.{point}", "rename", name, new)
    host.hawse("network", "create", f"after{next(COUNTER)}")
    assert [entry for entry in os.listdir("/run/netns") if entry.startswith(name)] == [new]
    host.hawse("rm", "-f", new)
