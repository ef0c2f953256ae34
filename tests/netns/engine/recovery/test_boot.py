"""After a reboot, everything that should run is restored: by one command of the init system, or by the next command."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from engine.store.sqlite import SqliteStore
from tests.conftest import Netns, until
from tests.netns.engine.killing import UNWRITABLE, killed

pytestmark = pytest.mark.netns
SERVER = (sys.executable, "-m", "http.server", "80")
GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=2).status)"


def reboot(host):
    """Simulate a reboot: only the files on disk stay; all processes, namespaces, devices and HAWSE_RUN are deleted."""
    host.kill_processes()
    subprocess.run(["ip", "-n", host.peer.name, "link", "del", f"v{host.index}"], check=True)
    Netns.delete(host)
    shutil.rmtree(host.run_dir)
    host.__init__(host.name, host.peer, host.state, host.index)


def run(host, name, *flags, command=("sleep", "1d")):
    host.hawse("run", "-d", "--name", name, *flags, "hostfs", *command)


def states(host):
    lines = host.hawse("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines)


def addresses(host, network):
    members = json.loads(host.hawse("network", "inspect", network).stdout)[0]["Containers"]
    return {member["Name"]: member["IPv4Address"] for member in members.values()}


@pytest.fixture
def named(request, host):
    """A namespace of ``ip netns``. `reboot` does not delete the namespace; the tests delete and create it again."""
    namespace = Netns(f"{host.name}a")
    yield namespace
    namespace.delete()


def test_networks_containers_ports_and_adopted_namespaces_are_restored_with_their_addresses(host, peer, named):
    host.hawse("network", "create", "app")
    run(host, "db", "--restart", "always")
    run(host, "web", "--network", "app", "--restart", "always", "-p", "8080:80", command=SERVER)
    run(host, "side", "--network", "container:web", "--restart", "always")
    run(host, "link", "--link", "db:store", "--restart", "unless-stopped")
    run(host, "once", "--network", "app", "-p", "8081:80")
    run(host, "gone", "--network", "app", "--rm")
    host.hawse("network", "connect", "app", f"netns:{named.name}")
    before, default = addresses(host, "app"), addresses(host, "bridge")
    reboot(host)
    named.delete()
    named.__init__(named.name)
    done = host.hawse("system", "boot")
    assert (done.stdout, done.stderr) == ("Networks: 2, containers: 4, namespaces: 1\n", "")
    running = {"db", "web", "side", "link", f"netns:{named.name}"}
    assert states(host) == {**dict.fromkeys(running, "running"), "once": "exited"}
    del before["once"], before["gone"]
    assert (addresses(host, "app"), addresses(host, "bridge")) == (before, default)
    until(lambda: peer.run(sys.executable, "-c", GET, f"http://{host.address}:8080", check=False).stdout == "200\n")
    web = before["web"].partition("/")[0]
    assert named.run(sys.executable, "-c", GET, f"http://{web}").stdout == "200\n"
    assert "store" in host.hawse("exec", "link", "cat", "/etc/hosts").stdout
    run(host, "new", "--network", "app", "-p", "8081:80")  # the port of "once" is free
    again = host.hawse("system", "boot")
    assert again.stdout == "Networks: 0, containers: 0, namespaces: 0\n"


def reboot_without(host, named):
    """Connect ``named`` to the network "app", reboot, and delete ``named``; return the network's earlier addresses."""
    host.hawse("network", "create", "app")
    host.hawse("network", "connect", "app", f"netns:{named.name}")
    before = addresses(host, "app")
    reboot(host)
    named.delete()
    return before


def test_a_namespace_whose_return_cannot_be_recorded_leaves_its_networks_again(host, named):
    before = reboot_without(host, named)
    named.__init__(named.name)
    code = UNWRITABLE.format(module="engine.containers.rejoin", undo="rollback")
    with SqliteStore(host.root / "hawse.db").read():  # the store's log exists as long as it is open
        done = host.hawse("system", "boot", code=code, check=False)
    assert "cannot be read or written" in done.stderr
    assert "eth0" not in named.sh("ip -br link")
    assert host.hawse("system", "boot").stdout.endswith("namespaces: 1\n")
    assert addresses(host, "app") == before
    assert "eth0" in named.sh("ip -br link")


def test_end_times_are_right_before_and_after_the_boot_command(host):
    run(host, "again", "--restart", "always")
    run(host, "once")
    began = datetime.now(UTC)
    reboot(host)

    def seen(name):
        state = json.loads(host.hawse("inspect", name).stdout)[0]["State"]
        finished = datetime.fromisoformat(state["FinishedAt"][:19] + "+00:00")
        return state["Status"], state["ExitCode"], abs((finished - began).total_seconds()) < 60

    assert seen("once") == ("exited", 255, True)
    assert "Exited (255) " in host.hawse("ps", "-a", "--format", "{{.Status}}").stdout
    assert "years" not in host.hawse("ps", "-a", "--format", "{{.Status}}").stdout
    host.hawse("system", "boot")
    assert seen("once") == ("exited", 255, True)
    document = json.loads(host.hawse("inspect", "again").stdout)[0]
    assert (document["State"]["Status"], document["RestartCount"]) == ("running", 0)
    assert seen("again")[2]


def test_restart_policies_decide_as_in_dockerd(host):
    """The expected results are those of dockerd 26.1.5 after it was killed with its containers, and started again."""
    run(host, "stopped-always", "--restart", "always")
    run(host, "stopped-unless", "--restart", "unless-stopped")
    run(host, "stopped-failure", "--restart", "on-failure")
    run(host, "failure", "--restart", "on-failure")
    run(host, "no")
    host.hawse("create", "--name", "created", "--restart", "always", "hostfs", "true")
    host.hawse("stop", "-t0", "stopped-always", "stopped-unless", "stopped-failure")
    reboot(host)
    host.hawse("system", "boot")
    running = dict.fromkeys(("stopped-always", "stopped-failure", "failure"), "running")
    assert states(host) == {**running, "stopped-unless": "exited", "no": "exited", "created": "created"}


@pytest.mark.parametrize(
    "where",
    [
        "engine.recovery.boot.clear_driver_state",
        "engine.recovery.recover.recover",
        "engine.recovery.boot.plan",
        "engine.recovery.boot.report",
    ],
)
def test_a_boot_that_is_killed_is_continued_by_the_next(host, where):
    host.hawse("network", "create", "app")
    for name in ("one", "two"):
        run(host, name, "--network", "app", "--restart", "always")
    before = addresses(host, "app")
    reboot(host)
    killed(host, where, "system", "boot")
    host.hawse("system", "boot")
    assert (states(host), addresses(host, "app")) == ({"one": "running", "two": "running"}, before)


def test_a_killed_start_is_reported_and_repeated(host):
    host.hawse("network", "create", "app")
    run(host, "earlier", "--network", "app")
    run(host, "one", "--network", "app", "--restart", "always")
    address = addresses(host, "app")["one"]
    reboot(host)
    code = "import os, sys, engine.core; from engine.containers import start; from cli.app import App\n"
    code += "from cli.root import run\nstart._run = lambda *_: os.kill(os.getpid(), 9)\n"
    code += "sys.exit(run(['system', 'boot'], App()))"
    failed = host.run(sys.executable, "-c", code, env=host.env(), check=False)
    assert (failed.returncode, failed.stderr) == (1, "container one: its start was killed or failed\n")
    assert host.hawse("system", "boot").stderr == ""
    assert states(host) == {"one": "running", "earlier": "exited"}
    assert addresses(host, "app") == {"one": address}
    host.hawse("rm", "-f", "one", "earlier")
    host.hawse("network", "rm", "app")


def test_a_foreign_interface_with_a_bridges_name_is_reported_and_the_rest_is_restored(host):
    host.hawse("network", "create", "-o", "com.docker.network.bridge.name=mine", "app")
    host.hawse("network", "create", "other")
    run(host, "one", "--network", "app", "--restart", "always")
    run(host, "two", "--network", "other", "--restart", "always")
    reboot(host)
    host.sh("ip link add mine type veth peer name other; ip addr add 10.9.8.7/24 dev mine")
    failed = host.hawse("system", "boot", check=False)
    assert failed.returncode == 1
    assert [line.split(":")[0] for line in failed.stderr.splitlines()] == ["network app", "container one"]
    assert "mine" in failed.stderr
    assert states(host) == {"one": "exited", "two": "running"}
    assert "10.9.8.7" in host.sh("ip addr show dev mine")
    host.sh("ip link del mine")
    assert host.hawse("system", "boot").stderr == ""
    assert states(host) == {"one": "running", "two": "running"}


def test_a_namespace_that_is_created_later_is_reported_and_then_connected(host, named):
    before = reboot_without(host, named)
    waiting = host.hawse("system", "boot")
    assert (waiting.stdout, waiting.stderr) == (
        "Networks: 1, containers: 0, namespaces: 0\n",
        f"netns:{named.name}: not there yet\n",
    )
    run(host, "new", "--network", "app")
    named.__init__(named.name)
    until(lambda: addresses(host, "app").items() >= before.items())  # the agent has connected the namespace again


def test_a_port_that_is_kept_for_the_next_run_can_be_unpublished(host, named):
    name = f"netns:{named.name}"
    host.hawse("network", "create", "app")
    host.hawse("network", "connect", "app", name)
    host.hawse("publish", name, "8080:80", "8100-8110:81", "82")
    chosen = host.hawse("port", name, "82").stdout.splitlines()[0].rpartition(":")[2]
    reboot(host)
    named.delete()
    host.hawse("system", "boot")
    host.hawse("unpublish", name, "0.0.0.0:8080:80", "8100:81", f"{chosen}:82")
    run(host, "new", "--network", "app", "-p", "0.0.0.0:8080:80", "-p", f"{chosen}:82")  # these are free now
    named.__init__(named.name)
    until(lambda: host.hawse("port", name).stdout == "80/tcp -> [::]:8080\n")
