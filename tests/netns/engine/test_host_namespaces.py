"""No command connects a host's own network namespace to a network by mistake.

The tests name a host's namespace in every way that a command accepts.
"""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from engine.store.api import Intent, IntentKind
from engine.store.sqlite import SqliteStore
from tests.conftest import CHECKOUT, COUNTER, Host, let_others_pass
from tests.netns.engine.conftest import recorded

pytestmark = pytest.mark.netns

DEAD = "4194304:1"  # identity of a process that cannot exist: the pid is too large
MOVING = """
import os, sys
from engine.runtime import syscalls
sys.stdin.readline()
syscalls.setns(os.open(sys.argv[1], os.O_RDONLY), syscalls.CLONE_NEWNET)
print("there", flush=True)
sys.stdin.readline()
"""


def network_of(namespace):
    """Return the parts of a namespace's network state that a connect could change.

    The result leaves out the carrier state of links.
    """
    shown = "ip -br link | cut -d' ' -f1; ip -o addr; ip route show table all; ip -6 route show table all"
    return re.sub(r" (tentative|linkdown)\b", "", namespace.sh(shown))


def refused(host, reference, *, by=None):
    """Try to connect a namespace to a network; check that hawse refuses and changes nothing.

    Return the part of the error text that says why the namespace counts as a host's own.
    """
    before = network_of(host)
    run = by or partial(host.hawse, check=False)
    done = run("network", "connect", "app", reference)
    assert done.returncode == 1, done
    start = f"Error response from daemon: {reference} is in a host's own network, and connecting it would change "
    start += "that host: it shares "
    assert done.stderr.startswith(start)
    assert done.stderr.endswith("Use --force to connect it all the same\n")
    assert network_of(host) == before
    assert recorded(host) == []
    assert sorted(p.name for p in (host.run_dir / "locks").iterdir()) == ["host"]
    return done.stderr.removeprefix(start).partition(". Use --force")[0]


@pytest.fixture
def app(host):
    host.hawse("network", "create", "--subnet", "172.30.0.0/16", "app")
    return host


def test_hawses_own_namespace_is_refused_by_any_name(app, tmp_path):
    mounted = tmp_path / "other-name"
    mounted.touch()
    subprocess.run(["mount", "--bind", app.path, mounted], check=True)
    process = app.popen("sleep", "1000")
    try:
        for reference in (
            f"netns:{app.name}",
            f"netns:{mounted}",
            "netns:/proc/self/ns/net",
            f"netns:/proc/{process.pid}/ns/net",
            f"netns:/proc/{process.pid}/root/run/netns/{app.name}",
            f"netns:/run/../run/netns/{app.name}",
        ):
            signs = refused(app, reference).split("; ")
            assert (signs[0], signs[-1]) == (
                "the network namespace of hawse itself",
                f"networks of hawse: {bridge(app)}",
            )
        while os.stat(f"/proc/{process.pid}/ns/net").st_ino != os.stat(app.path).st_ino:
            pass
        assert refused(app, f"pid:{process.pid}").startswith("the network namespace of hawse itself; ")
    finally:
        process.kill()
        process.wait()
        subprocess.run(["umount", mounted], check=True)


def bridge(host):
    return "br-" + json.loads(host.hawse("network", "inspect", "app").stdout)[0]["Id"][:12]


def test_the_namespace_of_pid_1_is_refused(app, netns):
    """Process 1 of a temporary PID namespace acts as the machine's PID 1. The test does not touch the real PID 1."""

    def nested(*command):
        hawse = ["nsenter", f"--net={app.path}", sys.executable, "-m", "cli", *command]
        within = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", '"$@"; exit $?', "sh"]
        return netns.run(*within, *hawse, env=app.env(HAWSE_WARM="off"), cwd=CHECKOUT, check=False)

    for reference in ("pid:1", f"netns:{netns.name}", "netns:/proc/1/root/proc/1/ns/net"):
        assert refused(app, reference, by=nested) == "the network namespace of PID 1"
    assert app.hawse("network", "connect", "app", f"netns:{netns.name}").returncode == 0


def test_the_host_of_another_hawse_is_refused(app, peer, tmp_path):
    other = Host(f"hwt{os.getpid()}h{next(COUNTER)}", peer, tmp_path, index=2)
    try:
        other.hawse("run", "-d", "--network", "host", "hostfs", "sleep", "1d")
        assert refused(app, f"netns:{other.name}") == "a resident process of hawse"
        other.hawse("network", "create", "app")
        shared = refused(app, f"netns:{other.name}")
        assert shared == f"a resident process of hawse; networks of hawse: {bridge(other)}"
    finally:
        other.delete()


ODD_NAMES = r"""
import ctypes, os, socket, sys
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: may open its own /proc/self/fd again
listeners = []
for name in ("a\n1: 1 1 x 1 1 1 b", "\0/proc/self/fd/3/agent.sock", "/proc/self/fd/3/agent.sock"):
    listeners.append(socket.socket(socket.AF_UNIX))
    if name.startswith("/"):
        os.dup2(os.open(sys.argv[1], os.O_PATH), 3)
    listeners[-1].bind(name if name[0] in "/\0" else f"{sys.argv[1]}/{name}")
    listeners[-1].listen()
print("there", flush=True)
sys.stdin.readline()
"""


def test_sockets_of_other_users_are_no_sign_of_a_host(app, netns, tmp_path):
    """A user chooses the names of sockets, which may contain any text."""
    (tmp_path / "user").mkdir()
    (tmp_path / "user").chmod(0o777)
    let_others_pass(tmp_path / "user")
    pipe = subprocess.PIPE
    with netns.popen(sys.executable, "-c", ODD_NAMES, tmp_path / "user", stdin=pipe, stdout=pipe, text=True) as users:
        assert users.stdout.readline() == "there\n"
        assert (tmp_path / "user/agent.sock").is_socket()
        app.hawse("network", "connect", "app", f"netns:{netns.name}")


def test_an_interface_with_its_parent_elsewhere_marks_a_host_and_a_veth_pair_does_not(app, netns):
    app.sh(f"ip link add uplink link ext0 type macvlan; ip link set uplink netns {netns.name}")
    assert refused(app, f"netns:{netns.name}") == "interfaces whose parent is in another network namespace: uplink"
    netns.sh("ip link del uplink")
    app.sh(f"ip link add lab type veth peer name eth0 netns {netns.name}")
    app.hawse("network", "connect", "app", f"netns:{netns.name}")
    assert "172.30.0.2/16" in netns.sh("ip -br addr show eth1")


def test_hawses_own_endpoints_do_not_mark_a_host(app, netns):
    """The parent link of a macvlan endpoint is in the host's namespace.

    For this reason alone, hawse must not conclude that the endpoint's namespace belongs to a host.
    """
    app.hawse("network", "create", "-d", "macvlan", "-o", "parent=ext0", "--subnet", "192.168.99.0/24", "lan")
    app.hawse("network", "connect", "lan", f"netns:{netns.name}")
    app.hawse("network", "connect", "app", f"netns:{netns.name}")
    assert [line.split()[0].partition("@")[0] for line in netns.sh("ip -br addr").splitlines()] == [
        "lo",
        "eth0",
        "eth1",
    ]


def test_force_connects_and_disconnect_restores_the_namespace(app, netns):
    app.sh(f"ip link add uplink link ext0 type macvlan; ip link set uplink netns {netns.name}")
    netns.sh("ip link set uplink addrgenmode none; ip addr add 192.168.99.50/24 dev uplink; ip link set uplink up")
    netns.sh("ip route add default via 192.168.99.99")
    before = network_of(netns)
    app.hawse("network", "connect", "--force", "app", f"netns:{netns.name}")
    assert app.run("ping", "-c1", "-W2", "172.30.0.2").returncode == 0
    app.hawse("network", "disconnect", "app", f"netns:{netns.name}")
    assert network_of(netns) == before
    assert recorded(app) == []


def test_force_on_hawses_own_namespace_leaves_its_routes(app):
    before, route = network_of(app), app.sh("ip route get 9.9.9.9")
    app.hawse("network", "connect", "--force", "app", f"netns:{app.name}")
    assert "172.30.0.2/16" in app.sh("ip -br addr show eth0")
    assert app.sh("ip route get 9.9.9.9") == route
    app.hawse("network", "disconnect", "app", f"netns:{app.name}")
    assert network_of(app) == before


def test_a_process_that_has_moved_to_the_host_is_not_followed_there(app, netns):
    """The process of a connected container has moved to the host's network namespace.

    Neither another connect nor a disconnect may change the host's namespace.
    """
    app.hawse("network", "create", "zoo")
    pipe = subprocess.PIPE
    process = netns.popen(sys.executable, "-c", MOVING, app.path, stdin=pipe, stdout=pipe, text=True, cwd=CHECKOUT)
    try:
        while os.stat(f"/proc/{process.pid}/ns/net").st_ino != os.stat(netns.path).st_ino:
            pass
        app.hawse("network", "connect", "app", f"pid:{process.pid}")
        app.hawse("network", "connect", "zoo", f"pid:{process.pid}")
        before = network_of(app)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "there\n"
        assert app.hawse("ps", "-q").stdout == ""
        done = app.hawse("network", "connect", "bridge", f"pid:{process.pid}", check=False)
        assert "the network namespace of hawse itself" in done.stderr
        app.hawse("network", "disconnect", "app", f"pid:{process.pid}")
        assert routes(app) == [line for line in before.splitlines() if line.startswith("default")]
        assert "eth0" not in app.sh("ip -br link")
    finally:
        process.kill()
        process.wait()


def routes(host):
    return [line for line in network_of(host).splitlines() if line.startswith("default")]


def test_an_intent_of_a_container_on_the_hosts_network_changes_no_route_of_the_host(host):
    container = host.hawse("run", "-d", "--network", "host", "hostfs", "sleep", "1d").stdout.strip()
    before = network_of(host)
    with SqliteStore(host.root / "hawse.db").write() as tx:
        tx.put_intent(Intent(IntentKind.SANDBOX_CHANGE, container, DEAD))
    host.hawse("network", "create", "--internal", "any")
    host.hawse("network", "rm", "any")
    assert routes(host) == [line for line in before.splitlines() if line.startswith("default")] != []


def test_a_file_that_is_no_network_namespace_is_not_opened(app, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/proc/self/ns/mnt"), Path("/dev/null")):
        done = app.hawse("network", "connect", "app", f"netns:{path}", check=False)
        assert done.stderr == f"Error response from daemon: {path} is not a network namespace\n"


def test_a_process_that_may_not_be_examined_is_not_called_missing(host):
    """Without CAP_SYS_PTRACE, the namespaces of a process with more capabilities cannot be opened."""
    sleeper = subprocess.Popen(["unshare", "--net", "sleep", "60"])
    try:
        connect = [sys.executable, "-m", "cli", "network", "connect", "app", f"pid:{sleeper.pid}"]
        dropped = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
        done = host.run(*dropped, *connect, check=False, env=host.env(HAWSE_WARM="off"))
        text = f"/proc/{sleeper.pid}/ns/net: permission denied (it needs CAP_SYS_PTRACE)\n"
        assert done.stderr == f"Error response from daemon: {text}"
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_file_that_may_not_be_opened_is_no_matter_of_processes(host, tmp_path):
    """Without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, root does not open the directories of another user."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    os.chown(locked, 65534, 65534)
    connect = [sys.executable, "-m", "cli", "network", "connect", "app", f"netns:{locked}/space"]
    caps = "-dac_override,-dac_read_search"
    dropped = ["setpriv", "--bounding-set", caps, "--inh-caps", caps]
    done = host.run(*dropped, *connect, check=False, env=host.env(HAWSE_WARM="off"))
    assert done.stderr == f"Error response from daemon: {locked}/space: permission denied\n"


EXCHANGE = """
import os
from engine.containers import {module}
checked = {module}.{function}
def with_another(*arguments):
    os.unlink({link!r})
    os.symlink("/proc/self/ns/net", {link!r})
    return checked(*arguments)
{module}.{function} = with_another
"""
"""Code for a command: exchanges the link to a connected namespace after the command has checked the namespace.

The new link leads to the own namespace of each process that opens it.
"""


@pytest.mark.parametrize("command", ["exec", "run"])
def test_no_command_runs_in_the_hosts_network_by_a_path_that_its_owner_exchanges(host, netns, tmp_path, command):
    link = tmp_path / "link"
    link.symlink_to(netns.path)
    host.hawse("network", "create", "app")
    host.hawse("network", "connect", "app", f"netns:{link}")
    if command == "run":
        words = ["run", "--rm", "--network", f"container:netns:{link}", "hostfs"]
        code = EXCHANGE.format(module="start", function="_create_process", link=str(link))
    else:
        words = ["exec", f"netns:{link}"]
        code = EXCHANGE.format(module="exec", function="_execute_in_namespace", link=str(link))
    shown = host.hawse(*words, "ip", "-br", "link", code=code, check=False)
    assert "ext0" not in shown.stdout
    assert f"network namespace {link} is gone: another one is there now" in shown.stderr
