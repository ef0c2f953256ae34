"""Commands that are killed at chosen points. A kill at a random moment seldom hits these points.

The tests check how the next command repairs the state.
"""

import errno
import json
import os
import socket
import sys
import threading
import time
from contextlib import ExitStack
from signal import SIGKILL

import pytest

from drivers.bridge import BridgeDriver
from drivers.errors import KernelError
from drivers.linux import host as linux_host
from drivers.linux import netns as namespaces
from drivers.linux.process import is_owner_running, start_time
from engine.containers import connect, finalize, lookup, on_exit, start, stop
from engine.containers import publish as publishing
from engine.core import open_engine
from engine.endpoints.boots import BOOT
from engine.errors import KernelFailure, NotFound
from engine.model import EndpointIPAM, EndpointSettings, PortSpec
from engine.recovery import recover
from engine.runtime import syscalls
from engine.store.api import Intent, IntentKind
from engine.store.locks import locked
from engine.store.sqlite import SqliteStore
from tests.conftest import CHECKOUT, until
from tests.netns.engine.conftest import network_actions, recorded
from tests.netns.engine.killing import KILLED, NUMBERS, REFUSED, UNWRITABLE, killed, refused

pytestmark = pytest.mark.netns

DEAD = "4194304:1"  # identity of a process that cannot exist: the pid is too large
UNTOLD = "import sys, engine.agent.client as m; from cli.app import App; from cli.root import run\n"
UNTOLD += "m.notify = lambda *a, **k: True\nsys.exit(run(sys.argv[1:], App()))"

INTERRUPTED = """
import os, pkgutil, signal
from engine.store.sqlite import SqliteStore
module = pkgutil.resolve_name({module!r})
end_intent, shorten_log = module.end_intent, SqliteStore._shorten_log

def interrupt(*_):
    SqliteStore._shorten_log = shorten_log
    os.kill(os.getpid(), signal.SIGINT)

def complete(*arguments):
    end_intent(*arguments)
    SqliteStore._shorten_log = interrupt

module.end_intent = complete
"""
"""A program that sends SIGINT to the command after the COMMIT of the transaction that ends an intent."""

NO_DESCRIPTOR = """
import pkgutil, resource
module = pkgutil.resolve_name({module!r})
original = module.{name}

def refuse(*a, **k):
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, allowed[1]))
    try:
        return original(*a, **k)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)

module.{name} = refuse
"""
"""A program that opens no further file in a function. Before and after the function, it opens files."""

SLOW_EXIT = """
import os, time
leave = os._exit
os._exit = lambda code: (time.sleep(0.3), leave(code))
print(os.getpid(), flush=True)
"""
"""A program that prints the pid of the command's process, and delays the end of this process."""

MEMORY = """
import mmap
memory = mmap.mmap(-1, 1 << 28, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(0, len(memory), mmap.PAGESIZE):
    memory[page] = 1
"""


@pytest.fixture
def web(host):
    """A host with the networks app and zoo. A container on app publishes a port."""
    host.hawse("network", "create", "app")
    host.hawse("network", "create", "zoo")
    host.hawse("run", "-d", "--name", "web", "--network", "app", "-p", "7000:70", "hostfs", "sleep", "1d")
    return host


def state(host):
    """Return four facts about the container "web":

    - the container's networks
    - the network of the default route
    - whether the store records the published port
    - the network to which the firewall sends the port's packets
    """
    document = json.loads(host.hawse("inspect", "web").stdout)[0]["NetworkSettings"]
    elements = host.sh("nft list table inet hawse")
    route = host.sh("nsenter -t $(cat run/containers/*/process | grep -o '[0-9]*' | head -1) -n ip route show default",
                    cwd=host.run_dir.parent).split()  # fmt: skip
    led_to = [n for n, entry in document["Networks"].items() if f"tcp . 7000 : {entry['IPAddress']} . 70" in elements]
    gateway = [n for n, entry in document["Networks"].items() if entry["Gateway"] == (route or ["", "", ""])[2]]
    return sorted(document["Networks"]), gateway, bool(document["Ports"]["70/tcp"]), led_to


def own_addresses(host):
    """Return the addresses of the container "web" for its own host name in its /etc/hosts."""
    name = host.hawse("inspect", "-f", "{{.Config.Hostname}}", "web").stdout.strip()
    lines = host.hawse("exec", "web", "cat", "/etc/hosts").stdout.splitlines()
    return [line.split()[0] for line in lines if line.split()[1:] == [name]]


@pytest.mark.parametrize(
    "where",
    [
        "engine.endpoints.sandbox.join",
        "engine.containers.etc_files.add_network",
        "engine.containers.port_assignment.move",
    ],
)
def test_connect_leaves_the_ports_where_they_were(web, where):
    killed(web, where, "network", "connect", "zoo", "web")
    web.hawse("network", "create", "any")
    assert state(web) == (["app"], ["app"], True, ["app"])
    assert own_addresses(web) == ["172.18.0.2"]


@pytest.mark.parametrize(
    "where", ["drivers.firewall.spoof_guard.guard", "drivers.bridge_port.Port.set_up", "drivers.sandbox.configure"]
)
def test_a_connect_leaves_no_port_and_no_element_of_the_spoof_guard(web, where):
    """The command is killed before the guard, before the port is up, or after it is up."""
    web.hawse("network", "create", "-o", "com.hawse.bridge.spoof_guard=true", "held")
    killed(web, where, "network", "connect", "held", "web")
    web.hawse("network", "create", "any")
    bridge = f"br-{web.hawse('network', 'inspect', '-f', '{{.Id}}', 'held').stdout[:12]}"
    until(lambda: not web.sh(f"ip -o link show master {bridge}"))
    until(lambda: "elements" not in web.sh("nft list table bridge hawse", check=False))  # there may be no table
    web.hawse("network", "connect", "held", "web")
    port = web.sh(f"ip -o link show master {bridge}").split()[1].split("@")[0]
    assert port in web.sh("nft list set bridge hawse ports")
    assert "UP" in web.sh(f"ip -o link show {port}")


@pytest.mark.parametrize(
    "where",
    [
        "engine.endpoints.reservation.release_endpoint",
        "engine.containers.gateway_bridge.sync_gateway_bridge",
        "engine.containers.port_assignment.reassign_ports",
        "engine.endpoints.sandbox.publish",
        "engine.containers.etc_files.remove_network",
    ],
)
def test_disconnect_moves_route_and_ports_to_the_remaining_network(web, where):
    web.hawse("network", "connect", "zoo", "web")
    assert state(web) == (["app", "zoo"], ["app"], True, ["app"])
    killed(web, where, "network", "disconnect", "app", "web")
    web.hawse("network", "create", "any")
    assert state(web) == (["zoo"], ["zoo"], True, ["zoo"])
    assert "172.18.0.2" not in own_addresses(web)


def test_a_killed_disconnect_is_finished_without_a_port_that_another_program_took(web):
    web.hawse("network", "create", "-d", "macvlan", "--subnet", "10.61.0.0/24", "-o", "parent=ext0", "aaa")
    web.hawse("network", "connect", "aaa", "web")
    with namespaces.run_in_netns(web.path, lambda: socket.create_server(("", 7000))):
        killed(web, "engine.containers.port_assignment.reassign_ports", "network", "disconnect", "aaa", "web")
        web.hawse("network", "create", "any")
        assert state(web) == (["app"], ["app"], False, [])
        assert not [one for one in recorded(web) if isinstance(one, Intent)]


def test_a_connect_that_the_kernel_refuses_keeps_the_ports(web):
    """The kernel refuses the connect, because another program's link already has the name of the endpoint's link.

    The container must then keep its networks, default route and published port.
    """
    web.hawse("network", "create", "-o", "com.docker.network.container_iface_prefix=lo", "wrong")
    pid = json.loads(web.hawse("inspect", "web").stdout)[0]["State"]["Pid"]
    web.sh(f"nsenter -t {pid} -n ip link add lo0 type bridge")
    assert web.hawse("network", "connect", "wrong", "web", check=False).returncode == 1
    assert state(web) == (["app"], ["app"], True, ["app"])


def test_a_connect_that_cannot_leave_the_sandbox_ends_and_is_undone(web):
    """The command must not continue in the sandbox, where the rollback would not find the link of the host."""
    before = web.sh("ip -br link | grep -c veth")
    done = refused(web, "drivers.sandbox.configure", "setns", errno.ENOMEM, "network", "connect", "zoo", "web")
    assert done.returncode == 71
    assert "cannot return to the host's network namespace: cannot allocate memory" in done.stderr
    web.hawse("network", "create", "any")
    assert state(web) == (["app"], ["app"], True, ["app"])
    assert web.sh("ip -br link | grep -c veth") == before


def test_the_process_of_a_failed_command_has_ended_when_its_exit_code_is_known(host):
    """Otherwise the next command would not finish the work that the failed command has left."""
    done = host.hawse("network", "inspect", "nope", code=SLOW_EXIT, check=False)
    pid, output = done.stdout.split("\n", 1)
    assert (done.returncode, output) == (1, "[]\n")
    assert not os.path.exists(f"/proc/{pid}")


def test_the_next_command_finishes_a_disconnect_that_the_kernel_refuses(web):
    """The link would otherwise remain without a record, with an address that another container gets."""
    before = web.sh("ip -br link | grep -c veth")
    web.hawse("network", "connect", "zoo", "web")
    done = refused(
        web, "engine.endpoints.sandbox.leave", "socket", errno.ENOBUFS, "network", "disconnect", "zoo", "web"
    )
    assert (done.returncode, done.stderr) == (1, "Error response from daemon: no buffer space available\n")
    web.hawse("network", "create", "any")
    assert state(web) == (["app"], ["app"], True, ["app"])
    until(lambda: web.sh("ip -br link | grep -c veth") == before)
    with SqliteStore(web.root / "hawse.db").read() as reader:
        assert reader.intents() == []


def test_an_adopted_namespace_can_be_removed_although_its_endpoint_cannot(host, netns):
    code = NO_DESCRIPTOR.format(module="engine.endpoints.sandbox", name="leave")
    host.hawse("network", "create", "app")
    host.hawse("network", "connect", "app", f"netns:{netns.name}")
    host.hawse("rm", "-f", netns.name, code=code)
    assert recorded(host) == []


@pytest.mark.parametrize("where", ["engine.endpoints.sandbox.leave", "engine.containers.etc_files.undo_network"])
def test_a_killed_connect_that_cannot_be_undone_hinders_no_other_command(web, where):
    module, _, name = where.rpartition(".")
    killed(web, "engine.containers.etc_files.add_network", "network", "connect", "zoo", "web")
    web.hawse("network", "create", "any", code=NO_DESCRIPTOR.format(module=module, name=name))
    assert [one for one in recorded(web) if isinstance(one, Intent)]
    web.hawse("network", "rm", "any")
    assert not [one for one in recorded(web) if isinstance(one, Intent)]
    assert state(web) == (["app"], ["app"], True, ["app"])


@pytest.mark.parametrize("command", [("network", "create", "any"), ("system", "shutdown")])
def test_a_command_that_gets_no_socket_does_not_assume_a_reboot(web, command):
    """Without a socket, the command cannot read the cookie of the host's network namespace."""
    done = refused(web, "drivers.linux.host.boot_identity", "socket", errno.EMFILE, *command)
    assert (done.returncode, done.stderr) == (1, "Error response from daemon: too many open files\n")
    assert web.hawse("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "web running\n"
    assert state(web) == (["app"], ["app"], True, ["app"])


@pytest.mark.parametrize(
    ("module", "undo", "command"),
    [
        ("engine.networks.create", "destroy", ["network", "create", "any"]),
        ("engine.containers.connect", "rollback", ["network", "connect", "zoo", "web"]),
        ("engine.containers.start", "rollback", ["start", "idle"]),
    ],
)
def test_a_command_whose_last_transaction_fails_undoes_its_work(web, module, undo, command):
    web.hawse("create", "--name", "idle", "--network", "app", "-p", "7300:73", "hostfs", "sleep", "1d")
    links, before = web.sh("ls /sys/class/net"), (web.container_processes(), state(web))
    done = web.hawse(*command, code=UNWRITABLE.format(module=module, undo=undo), check=False)
    assert (done.returncode, "cannot be read or written" in done.stderr) == (1, True), done.stderr
    with SqliteStore(web.root / "hawse.db").read() as reader:
        assert reader.intents() == []
    assert (web.container_processes(), state(web)) == before
    until(lambda: web.sh("ls /sys/class/net") == links)  # the kernel deletes a bridge with a delay
    assert "7300" not in web.sh("nft list table inet hawse")


@pytest.mark.parametrize(
    ("module", "command", "check"),
    [
        ("engine.networks.create", ["network", "create", "any"], ["network", "verify", "any"]),
        ("engine.containers.connect", ["network", "connect", "zoo", "web"], ["network", "verify", "zoo"]),
        ("engine.containers.publish", ["network", "connect", "-p", "7100:71", "zoo", "web"], ["port", "web", "71"]),
        ("engine.containers.publish", ["publish", "web", "-p", "7100:71"], ["port", "web", "71"]),
        ("engine.containers.start", ["start", "idle"], ["exec", "idle", "true"]),
    ],
)
def test_a_command_that_is_interrupted_after_its_work_is_recorded_keeps_the_work(web, module, command, check):
    web.hawse("create", "--name", "idle", "--network", "app", "hostfs", "sleep", "1d")
    assert web.hawse(*command, code=INTERRUPTED.format(module=module), check=False).returncode == 130
    web.hawse("network", "create", "next")
    with SqliteStore(web.root / "hawse.db").read() as reader:
        assert reader.intents() == []
    web.hawse(*check)
    assert state(web)[0] == (["app", "zoo"] if "connect" in command else ["app"])


def test_an_interrupted_command_has_ended_when_its_caller_goes_on(web):
    """Otherwise, the next command takes the unfinished work for that of a running command, and does not finish it.

    The command has much memory, so that its process ends slowly.
    """
    code = INTERRUPTED.format(module="engine.containers.publish") + MEMORY
    command = ["network", "connect", "-p", "7100:71", "zoo", "web"]
    assert web.hawse(*command, code=code, check=False).returncode == 130
    with SqliteStore(web.root / "hawse.db").read() as reader:
        (intent,) = reader.intents()
    assert not is_owner_running(intent.owner)


def test_a_refused_connect_with_a_port_is_undone_although_its_undo_is_killed(web):
    number = NUMBERS[os.uname().machine]["socket"]
    code = REFUSED.format(module="engine.endpoints.sandbox", name="publish", number=number, code=errno.ENOBUFS)
    code += KILLED.format(module="engine.endpoints.sandbox", name="leave")
    done = web.hawse("network", "connect", "-p", "7100:71", "zoo", "web", code=code, check=False)
    assert done.returncode == -9, done
    web.hawse("network", "create", "any")
    assert state(web) == (["app"], ["app"], True, ["app"])
    assert web.hawse("port", "web").stdout.count("7100") == 0


def test_an_endpoint_without_a_connect_event_gets_no_disconnect_event(web):
    killed(web, "engine.endpoints.sandbox.join", "network", "connect", "zoo", "web")
    killed(web, "engine.endpoints.sandbox.leave", "network", "create", "any")
    web.hawse("network", "create", "other")
    assert network_actions(web, "zoo") == ["create"]


def test_a_connect_that_fails_leaves_the_files_in_etc(web):
    web.hawse("run", "-d", "--name", "plain", "hostfs", "sleep", "1d")
    before = web.hawse("exec", "plain", "cat", "/etc/hosts", "/etc/resolv.conf").stdout
    assert web.hawse("network", "connect", "--publish", "7000:71", "zoo", "plain", check=False).returncode == 1
    assert web.hawse("exec", "plain", "cat", "/etc/hosts", "/etc/resolv.conf").stdout == before


@pytest.mark.parametrize(
    ("where", "networks", "ports"),
    [
        ("engine.containers.publish.publish_locked", ["app"], 0),
        ("engine.endpoints.sandbox.publish", ["app", "zoo"], 1),
    ],
)
def test_a_killed_connect_with_a_port_is_undone_or_finished_as_a_whole(web, where, networks, ports):
    killed(web, where, "network", "connect", "--publish", "7100:71", "zoo", "web")
    web.hawse("network", "create", "any")
    assert state(web)[0] == networks
    assert web.sh("nft list table inet hawse").count("tcp . 7100 :") == ports
    assert web.hawse("port", "web").stdout.count("71/tcp -> 0.0.0.0:7100") == ports
    with SqliteStore(web.root / "hawse.db").read() as reader:
        assert reader.intents() == []


def test_ports_match_the_records_after_a_killed_publish_or_unpublish(web):
    killed(web, "engine.endpoints.sandbox.publish", "publish", "web", "-p", "7100:71")
    web.hawse("network", "create", "any")
    assert "tcp . 7100 : 172.18.0.2 . 71" in web.sh("nft list table inet hawse")
    assert own_addresses(web) == ["172.18.0.2"]
    killed(web, "engine.endpoints.sandbox.unpublish", "unpublish", "web", "71/tcp")
    web.hawse("network", "create", "other")
    assert own_addresses(web) == ["172.18.0.2"]
    assert "7100" not in web.sh("nft list table inet hawse")
    assert web.hawse("port", "web").stdout == "70/tcp -> 0.0.0.0:7000\n70/tcp -> [::]:7000\n"


def test_a_damaged_link_is_repaired_despite_the_intent_of_a_killed_command(web):
    """The resolver of the intent needs the link, and the agent's repair must not wait for the resolver."""

    def link():
        return [name for name in web.sh("ls /sys/class/net").split() if name.startswith("veth")]

    [before] = link()
    killed(web, "engine.endpoints.sandbox.publish", "publish", "web", "-p", "7100:71")
    web.sh(f"ip link del {before}")
    until(lambda: link() == [before])
    web.hawse("network", "create", "any")
    with SqliteStore(web.root / "hawse.db").read() as reader:
        assert reader.intents() == []
    assert state(web) == (["app"], ["app"], True, ["app"])


@pytest.mark.parametrize("name", ["mybr", ""])
def test_the_unmarked_bridge_of_a_killed_command_is_removed(host, name):
    option = ("-o", f"com.docker.network.bridge.name={name}") if name else ()
    host.hawse("network", "create", "any")
    before = host.sh("ip -br link")
    killed(host, "drivers.linux.link.change", "network", "create", *option, "app")
    assert host.sh("ip -br link") != before
    host.hawse("network", "create", "other")
    host.hawse("network", "rm", "other")
    assert host.sh("ip -br link") == before


def test_the_default_bridge_of_a_killed_run_is_removed_with_its_container(host):
    host.hawse("network", "create", "app")
    killed(host, "engine.networks.activate.save_driver_state", "run", "-d", "hostfs", "true")
    assert "docker0" in host.sh("ip -br link")
    host.hawse("rm", host.hawse("ps", "-aq").stdout.strip())
    assert "docker0" not in host.sh("ip -br link; nft list table inet hawse")


def test_the_default_bridge_is_removed_after_a_killed_cleanup(host):
    code = "import os, sys; from engine.recovery import recover; from engine.core import open_engine\n"
    code += "import drivers.bridge as m; m.BridgeDriver.delete_network = lambda *a, **k: os.kill(os.getpid(), 9)\n"
    code += "recover.remove_idle_state(open_engine().host)"
    host.hawse("run", "-d", "--name", "web", "hostfs", "sleep", "1d")
    with SqliteStore(host.root / "hawse.db").write() as tx:
        tx.put_intent(Intent("nothing", "any", f"1:{start_time(1)}"))  # an intent prevents the clean-up of the host
    host.hawse("rm", "-f", "web")
    with SqliteStore(host.root / "hawse.db").write() as tx:
        tx.delete_intent("nothing", "any")
    assert host.run(sys.executable, "-c", code, env=host.env(), cwd=CHECKOUT, check=False).returncode == -9
    assert "docker0" in host.sh("ip -br link")
    host.hawse("network", "create", "app")
    assert "docker0" not in host.sh("ip -br link")


def test_stop_leaves_nothing_of_the_process(web):
    container = web.hawse("inspect", "-f", "{{.Id}}", "web").stdout.strip()
    killed(web, "engine.runtime.local.LocalRuntime.delete", "stop", "-t0", "web")
    deadline = time.monotonic() + 10
    while (web.run_dir / "containers" / container).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list((web.run_dir / "containers").iterdir()) == []
    assert web.hawse("ps", "-a", "--format", "{{.State}}").stdout == "exited\n"


def test_the_link_of_a_killed_restart_s_sandbox_is_removed(web):
    killed(web, "engine.containers.start.join_all", "restart", "-t0", "web")
    until(lambda: web.hawse("ps", "--format", "{{.State}}").stdout == "running\n")
    web.hawse("network", "create", "any")
    path = web.hawse("inspect", "-f", "{{.NetworkSettings.SandboxKey}}", "web").stdout.strip()
    assert [str(link) for link in (web.run_dir / "netns").iterdir()] == [path]
    web.hawse("rm", "-f", "web")
    assert list((web.run_dir / "netns").iterdir()) == []


@pytest.fixture
def engine(host, monkeypatch):
    """An engine that runs in the test process and works in the host's network namespace."""
    for name, value in host.env().items():
        monkeypatch.setenv(name, value)
    with open("/proc/thread-self/ns/net") as before, open(host.path) as inside:
        syscalls.setns(inside.fileno(), syscalls.CLONE_NEWNET)
        yield open_engine().host
        syscalls.setns(before.fileno(), syscalls.CLONE_NEWNET)


def test_a_publish_that_the_driver_refuses_changes_nothing(web, engine, monkeypatch):
    publish = BridgeDriver.publish

    def refuse(*args):
        publish(*args)
        raise KernelError("add", "element", 5)

    shown = [("port", "web"), ("inspect", "-f", "{{.HostConfig.PortBindings}} {{.Config.ExposedPorts}}", "web")]
    before = [web.hawse(*command).stdout for command in shown]
    monkeypatch.setattr(BridgeDriver, "publish", refuse)
    with pytest.raises(KernelFailure, match="add element"):
        publishing.publish(engine, "web", [PortSpec("tcp", 71, "", "7100")])
    assert [web.hawse(*command).stdout for command in shown] == before
    assert "7100" not in web.sh("nft list table inet hawse")
    with engine.store.read() as reader:
        assert reader.intents() == []


@pytest.mark.parametrize("where", ["keeper.detach", "syscalls.setns"])
def test_a_detached_command_whose_start_is_killed_does_not_count_as_started(web, tmp_path, where):
    """The process that waits for the command is killed, or its child, which enters the container's namespaces."""
    code = KILLED.format(module=f"engine.runtime.{where.split('.')[0]}", name=where.split(".")[1])
    done = web.hawse("exec", "-d", "web", "touch", str(tmp_path / "made"), code=code, check=False)
    text = "OCI runtime exec failed: exec failed: the process that starts the command was killed"
    assert (done.returncode, done.stderr) == (1, f"Error response from daemon: {text}\n")
    assert not (tmp_path / "made").exists()


def test_undoing_a_killed_start_does_not_stop_a_new_run(host, engine):
    """Two commands find the intent (the record of an unfinished command) of a killed start. The faster command undoes
    the start.

    A third command then starts the container again. The slower command must not stop this new run of the container.
    """
    container = host.hawse("run", "-d", "--name", "web", "hostfs", "sleep", "1d").stdout.strip()
    recover.resolve_intents(engine, [Intent(IntentKind.CONTAINER_START, container, DEAD)])
    assert host.hawse("inspect", "-f", "{{.State.Running}} {{.NetworkSettings.IPAddress}}", "web").stdout.split() == [
        "true",
        "172.17.0.2",
    ]


def test_undoing_waits_for_the_containers_lock(host, engine):
    container = host.hawse("create", "--name", "web", "hostfs", "sleep", "1d").stdout.strip()
    with engine.store.write() as tx:
        tx.put_intent(Intent(IntentKind.CONTAINER_START, container, DEAD))
    settling = threading.Thread(target=lambda: host.hawse("network", "create", "any"))
    with locked(engine.run, "container", container):
        settling.start()
        time.sleep(1)
        with engine.store.read() as reader:
            assert [i.kind for i in reader.intents()] == [IntentKind.CONTAINER_START]
    settling.join()
    with engine.store.read() as reader:
        assert reader.intents() == []


def rebooted(host):
    """Change the recorded boot id. hawse then believes that the host was rebooted and all processes and links
    are gone.
    """
    with SqliteStore(host.root / "hawse.db").write() as tx:
        assert tx.meta(BOOT) is not None
        tx.set_meta(BOOT, f"{linux_host.boot_identity()}-before")


def test_the_second_command_after_a_reboot_finishes_a_killed_first_one(host):
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "once", "--network", "app", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "again", "--restart", "always", "--network", "app", "hostfs", "sleep", "1d")
    rebooted(host)
    killed(host, "engine.recovery.boot.plan", "network", "create", "one")
    host.hawse("network", "create", "two")
    assert host.hawse("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.split("\n") == [
        "again running",
        "once exited",
        "",
    ]
    members = json.loads(host.hawse("network", "inspect", "app").stdout)[0]["Containers"]
    assert [m["Name"] for m in members.values()] == ["again"]


def test_the_agent_notices_changes_without_notification(host):
    """A command changes the host's state, but is killed before it notifies the agent.

    The agent must notice the changed state without a notification.
    """
    env = {"HAWSE_AGENT_IDLE": "1"}
    host.hawse("network", "create", "app", env=env)  # while a network exists, hawse does not clean up the host
    host.hawse("run", "-d", "--name", "web", "-p", "[::1]:7000:70", "hostfs", "sleep", "1d", env=env)

    def carried():
        return "elements = { tcp : " in host.sh("nft list table inet hawse", check=False)

    assert carried()
    host.run(sys.executable, "-c", UNTOLD, "rm", "-f", "web", env=host.env(), cwd=CHECKOUT)
    deadline = time.monotonic() + 8
    while carried() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not carried()


@pytest.fixture
def ended(web, engine):
    """The record of the container "web", whose process has ended. The test holds the container lock.

    The end is therefore not recorded. The container has the address 10.31.0.2 on the network "own".
    """
    web.hawse("network", "create", "--subnet", "10.31.0.0/24", "own")
    web.hawse("network", "connect", "own", "web")
    with engine.store.read() as reader:
        record = lookup.find(reader, "web")
    with ExitStack() as stack:
        stack.enter_context(locked(engine.run, "container", record.id))
        os.kill(record.pid, SIGKILL)
        until(lambda: not lookup.is_running(engine, record))
        yield record, stack


@pytest.fixture
def ended_later(engine, ended, monkeypatch):
    """The container "web", whose process has ended. Another process records the end after a command's first attempt."""
    record, lock = ended
    finalize_ended = finalize.finalize_ended

    def slowly(host, after, own):
        lock.close()
        on_exit.record_end(host, record.id)
        return finalize_ended(host, after, own)

    monkeypatch.setattr(finalize, "finalize_ended", slowly)
    return record


def test_a_start_is_repeated_if_the_end_of_another_container_was_recorded_meanwhile(web, engine, ended_later):
    other = web.hawse("create", "-p", "7000:70", "hostfs", "sleep", "1d").stdout.strip()
    assert start.start_by_user(engine, other)
    assert web.hawse("inspect", "-f", "{{.State.Running}}{{.State.Error}}", other).stdout == "true\n"


def test_a_restart_is_repeated_if_the_end_of_another_container_was_recorded_meanwhile(web, engine, ended_later):
    other = web.hawse("create", "-p", "7000:70", "hostfs", "sleep", "1d").stdout.strip()
    stop.restart(engine, other, None, "")
    assert web.hawse("inspect", "-f", "{{.State.Running}}{{.State.Error}}", other).stdout == "true\n"


def test_a_restart_is_not_repeated_because_of_its_own_end(web, engine, monkeypatch):
    web.hawse("network", "create", "own")
    web.hawse("network", "connect", "own", "web")
    web.hawse("network", "disconnect", "app", "web")
    web.hawse("network", "rm", "app")
    attempts: list[str] = []

    def counted(host, container_id):
        attempts.append(container_id)
        start.start(host, container_id)

    monkeypatch.setattr(stop, "start", counted)
    with pytest.raises(NotFound, match="could not find a network matching network mode app"):
        stop.restart(engine, "web", 0, "")
    assert len(attempts) == 1


@pytest.mark.parametrize("published", [(), (PortSpec("tcp", 70, host_port="7000"),)])
def test_a_connection_is_repeated_if_the_end_of_another_container_was_recorded_meanwhile(
    web, engine, ended_later, published
):
    web.hawse("network", "create", "inner", "--internal")
    web.hawse("run", "-d", "--name", "other", "--network", "inner", "hostfs", "sleep", "1d")
    address = "" if published else "10.31.0.2"
    connect.connect(engine, "own", "other", EndpointSettings(ipam=EndpointIPAM(ipv4=address)), published)
    joined = web.hawse("inspect", "-f", "{{.NetworkSettings.Networks.own.IPAddress}}", "other").stdout
    assert joined.startswith(address or "10.31.0.")
    assert web.hawse("port", "other").stdout.splitlines()[:1] == ["70/tcp -> 0.0.0.0:7000"] * len(published)


def test_a_publication_is_repeated_if_the_end_of_another_container_was_recorded_meanwhile(web, engine, ended_later):
    web.hawse("run", "-d", "--name", "other", "--network", "zoo", "hostfs", "sleep", "1d")
    publishing.publish(engine, "other", [PortSpec("tcp", 70, host_port="7000")])
    assert "0.0.0.0:7000" in web.hawse("port", "other").stdout


def test_a_failed_start_names_its_own_cause_if_an_end_cannot_be_recorded(web, engine, ended, monkeypatch):
    other = web.hawse("create", "--rm", "-p", "7000:70", "hostfs", "sleep", "1d").stdout.strip()

    def refuse(*_, **__):
        raise KernelFailure("cannot delete a link")

    monkeypatch.setattr(finalize, "locked", refuse)
    with pytest.raises(KernelFailure, match="port is already allocated"):
        start.start_by_user(engine, other)
    assert other not in web.hawse("ps", "-aq", "--no-trunc").stdout
