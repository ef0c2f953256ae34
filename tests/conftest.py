"""Fixtures for hosts: each test that needs the kernel gets its own network namespaces.

A *host* is a network namespace with ``lo`` up and an interface ``ext0`` (192.168.99.11/24, fd99::11/64). A virtual wire
connects ``ext0`` to the *peer*: a namespace that acts as another machine on the host's network (192.168.99.99,
fd99::99). Each host has its own HAWSE_ROOT and HAWSE_RUN directories.
"""

from __future__ import annotations

import compileall
import itertools
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from glob import glob
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.linux import netns as namespaces
from drivers.linux import process
from engine.store.sqlite import SqliteStore
from tests import commands, shared_client
from tests.installation import CHECKOUT, PACKAGES

T = TypeVar("T")
COUNTER = itertools.count(1)
WITHOUT_DAD = {"ipv6/conf/default/accept_dad": 0, "ipv6/conf/all/accept_dad": 0}
"""Files below /proc/sys/net by which a namespace uses new IPv6 addresses at once (without duplicate detection)."""
FAILURE_LINES = 12
"""Lines of a failure that the summary shows if the test ran a second time."""


def pytest_configure(config: pytest.Config) -> None:
    # Because thousands of processes import hawse, Python must store the compiled modules.
    # PYTHONDONTWRITEBYTECODE would prevent that.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if not hasattr(config, "workerinput"):
        for package in PACKAGES:
            compileall.compile_dir(CHECKOUT / package, quiet=1)
    # Because a shell starts background processes with some signals ignored, restore the default signal handlers.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill = _signal_one_process
    # All namespaces share the lock file of iptables. Therefore each process of the test run uses a file of its own.
    lock = Path(tempfile.gettempdir(), f"xtables-{os.getpid()}.lock")
    os.environ["XTABLES_LOCKFILE"] = str(lock)
    config.add_cleanup(partial(lock.unlink, missing_ok=True))


def _signal_one_process(pid: int, number: int, send: Callable[[int, int], None] = os.kill) -> None:
    """Send a signal to one process; fail if ``pid`` is not positive.

    A test gets the pid 0 for a process that does not run. A signal to the pid 0 would reach the whole test run.
    """
    assert pid > 0, f"signal {number} for the pid {pid}"
    send(pid, number)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Remove what a failed test created on its host, because these objects could make the test's second run fail."""
    began = datetime.now(UTC)
    try:
        return (yield)
    except BaseException:
        for value in reversed(getattr(item, "funcargs", {}).values()):
            if isinstance(value, Host):
                value.remove_objects_since(began)
        raise


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why the first run of each repeated test failed: the end of the traceback and pytest's explanation."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"first run of {report.nodeid}")
        lines = [line for line in report.longreprtext.splitlines() if line.startswith(("E ", ">", "tests/"))]
        for line in lines[-FAILURE_LINES:]:
            terminalreporter.write_line(line)


class Netns:
    """A named network namespace, and methods that run commands inside the namespace."""

    def __init__(self, name: str, *links: str, sysctls: Mapping[str, int] | None = None) -> None:
        """Make the namespace. ``sysctls`` are files below /proc/sys/net, and ``links`` are commands of ``ip``."""
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        files = {Path("/proc/sys/net", file): f"{value}\n" for file, value in (sysctls or {}).items()}
        namespaces.run_in_netns(self.path, lambda: [file.write_text(value) for file, value in files.items()])
        self.run_ip("link set lo up", *links)

    def run_ip(self, *commands: str) -> None:
        """Run commands of ``ip`` in one process, because hundreds of tests make a host."""
        subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(commands), text=True, check=True)

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    def run(self, *argv: str, check: bool = True, timeout: float = 60, **kw) -> subprocess.CompletedProcess[str]:
        r = subprocess.run(
            ["ip", "netns", "exec", self.name, *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=kw.pop("stdin", subprocess.DEVNULL),
            **kw,
        )
        if check and r.returncode:
            raise AssertionError(f"{argv} in {self.name}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def popen(self, *argv: str, **kw) -> subprocess.Popen:
        return subprocess.Popen(["ip", "netns", "exec", self.name, *argv], **kw)

    def sh(self, script: str, check: bool = True, **kw) -> str:
        return self.run("sh", "-c", script, check=check, **kw).stdout

    def runs(self, program: str) -> bool:
        """Return whether a process with this name runs in the namespace."""
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True).stdout
        names = subprocess.run(["ps", "-o", "comm=", "-p", pids.replace("\n", ",").strip(",") or "0"],
                               capture_output=True, text=True).stdout  # fmt: skip
        return program in names.split()

    def delete(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        shutil.rmtree(f"/etc/netns/{self.name}", ignore_errors=True)


class Peer(Netns):
    """The peer (another machine on the host's network): a namespace with a bridge br0, to which hosts are connected.

    The bridge has a fixed MAC address. Without it, the bridge would take its MAC address from one of its ports, and
    would change the address when a host is added.
    """

    def __init__(self, name: str, *, ipv6: bool) -> None:
        super().__init__(
            name,
            "link add br0 address 02:00:00:00:99:99 type bridge",
            "addr add 192.168.99.99/24 dev br0",
            *(["addr add fd99::99/64 dev br0 nodad"] if ipv6 else []),
            "link set br0 up",
            sysctls=WITHOUT_DAD if ipv6 else None,
        )


class Host(Netns):
    """A host that runs hawse: a network namespace, and the directories HAWSE_ROOT and HAWSE_RUN.

    A virtual wire connects the host to the peer (another machine on the host's network).
    """

    def __init__(self, name: str, peer: Netns, state: Path, index: int = 1) -> None:
        self.address, self.address6 = f"192.168.99.{10 + index}", f"fd99::{10 + index}"
        super().__init__(
            name,
            f"link add ext0 type veth peer name v{index} netns {peer.name}",
            f"addr add {self.address}/24 dev ext0",
            f"addr add {self.address6}/64 dev ext0 nodad",
            "link set ext0 up",
            "route add default via 192.168.99.99",
            sysctls={"ipv4/ip_forward": 0, **WITHOUT_DAD},
        )
        peer.run_ip(f"link set v{index} master br0 up")
        self.callbacks_use_server = True
        self.peer, self.state, self.index, self.launcher = peer, state, index, commands.launcher()
        self.client = shared_client.Client(name)
        self.root, self.run_dir = state / f"h{index}" / "root", state / f"h{index}" / "run"
        etc = Path(f"/etc/netns/{name}")
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "resolv.conf").write_text("nameserver 192.168.99.99\nsearch example.test\n")

    def env(self, **extra: str) -> dict[str, str]:
        return {
            **os.environ,
            "HAWSE_ROOT": str(self.root),
            "HAWSE_RUN": str(self.run_dir),
            "PYTHONPATH": str(CHECKOUT),
            "HAWSE_TEST_HOST": self.name,
            **extra,
        }

    def command(self, *argv: str) -> list[str]:
        """Return the argument vector of a hawse command on this host.

        The caller must run the command with the environment that the method `env` returns.
        """
        return ["ip", "netns", "exec", self.name, *self.launcher, *argv]

    def hawse(
        self,
        *argv: str,
        check: bool = True,
        input: str | None = None,
        timeout: float = 60,
        env: dict[str, str] | None = None,
        code: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run one hawse command on this host and return the completed process.

        The command's process first executes the Python program ``code``, which may change hawse's functions or exit.
        """
        launcher, variables = commands.with_code(self.launcher, code) if code else (self.launcher, {})
        command = ["ip", "netns", "exec", self.name, *launcher, *argv]
        environment = self.env(**(env or {}), **variables)
        r = self.run_without_launcher(argv, environment, timeout) if input is None else None
        if r is None:
            kw = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
            r = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, **kw)
        if self.callbacks_use_server:
            commands.offer_server(self.launcher, self.run_dir)
        if check and r.returncode:
            raise AssertionError(f"hawse {argv}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def run_without_launcher(
        self, argv: tuple[str, ...], environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str] | None:
        """Run a hawse command on the shared server; return None if the command has not been started there."""
        if commands.uses_shared_server(self.launcher) and shared_client.suits(argv, environment):
            with suppress(shared_client.NotAccepted):
                return self.client.run(argv, environment, timeout)
        return None

    def error_on_terminal(self, *argv: str) -> str:
        """Run a hawse command whose standard error is a terminal, and return what the command writes there."""
        terminal, stderr = pty.openpty()
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        with subprocess.Popen(self.command(*argv), env=self.env(NO_COLOR="1"), stderr=stderr, **quiet):
            os.close(stderr)
            text = b""
            with open(terminal, "rb", buffering=0) as reader, suppress(OSError):  # EIO: the command has ended
                while data := reader.read(4096):
                    text += data
        return text.decode().replace("\r\n", "\n")

    def kill_processes(self) -> None:
        """Kill every process of this host, and all descendants of these processes.

        A process belongs to the host in two cases: it runs in the host's namespace, or its environment has the host's
        mark. The mark is a variable that only this host sets.
        """
        mark, inode = f"HAWSE_TEST_HOST={self.name}".encode(), os.stat(self.path).st_ino
        empty = 0
        for _ in range(20):  # the agent and its guard start each other again
            hit = self.container_processes()
            hit |= {int(n) for n in os.listdir("/proc") if n.isdigit() and _belongs(f"/proc/{n}", mark, inode)}
            hit.discard(os.getpid())
            # A process may fork after /proc was listed, and end before it is examined. Therefore look twice.
            empty = 0 if hit else empty + 1
            if empty == 2:
                return
            for pid in hit:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue

    def container_processes(self) -> set[int]:
        """Return the pids of the first processes of all containers.

        These processes have their own network namespaces, and their environment does not show to which host they
        belong.
        """
        known = [json.loads(file.read_text()) for file in self.run_dir.glob("containers/*/process")]
        return {p["pid"] for p in known if process.is_running(p["pid"], p["start"])}

    def remove_objects_since(self, began: datetime) -> None:
        """Remove the containers and networks that were created after ``began``. Errors are ignored."""
        kinds = (("container", "ls", "-aq", "--no-trunc"), ("network", "ls", "-q", "--filter", "type=custom"))
        with suppress(AssertionError, OSError, ValueError, subprocess.SubprocessError):
            for kind, *listing in kinds:
                for identity in self.hawse(kind, *listing, timeout=20).stdout.split():
                    created = self.hawse(kind, "inspect", "-f", "{{json .Created}}", identity, timeout=20).stdout
                    if datetime.fromisoformat(json.loads(created)) >= began:
                        self.hawse(kind, "rm", "-f", identity, check=False, timeout=20)

    def remove_objects(self) -> None:
        """Remove all containers and all networks that a user created."""
        if not (self.root / "hawse.db").exists():
            return
        with SqliteStore(self.root / "hawse.db").read() as reader:
            containers = [record.id for record in reader.containers()]
            networks = [record for record in reader.networks() if not record.predefined]
        if containers:
            self.hawse("rm", "-f", *containers)
        for configurations in (False, True):  # a configuration network can be removed when no other network uses it
            if ids := [record.id for record in networks if record.config_only == configurations]:
                self.hawse("network", "rm", *ids)

    def delete(self) -> None:
        self.kill_processes()
        self.delete_names()
        self.client.close()
        super().delete()

    def delete_names(self) -> None:
        """Delete the names that hawse made in /run/netns and /etc/netns for this host's containers.

        No hawse command deletes them, because the host is deleted without removing its containers.
        """
        for link in [*glob("/run/netns/*"), *glob("/etc/netns/*/*")]:
            with suppress(OSError):  # another process deletes names too
                if os.readlink(link).startswith((f"{self.run_dir}/", f"{self.root}/")):
                    os.unlink(link)
                    name = link.split("/")[3]
                    shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


def _belongs(process: str, mark: bytes, inode: int) -> bool:
    """Return whether a process has ``mark`` in its environment, or runs in the network namespace ``inode``.

    ``process`` is the directory of the process in /proc. Because each deletion of a host checks all processes, the
    function is written for speed: a call takes 20 us.
    """
    try:
        if os.stat(f"{process}/ns/net").st_ino == inode:
            return True
        with open(f"{process}/environ", "rb", buffering=0) as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


class InstalledHost(Host):
    """A host with an installed hawse: its commands run on the host's own warm server."""

    def __init__(self, name: str, peer: Netns, state: Path, index: int = 1) -> None:
        super().__init__(name, peer, state, index)
        self.launcher = commands.WARM


MOST_LOAD = 5.0
"""The largest factor by which `loaded` makes a time limit longer."""


def loaded(seconds: float) -> float:
    """Return a time limit of ``seconds`` on an idle machine; on a busy machine, the limit is longer.

    The factor is the number of processes that wait for each processor or use it, on average over the last minute.
    """
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(MOST_LOAD, max(1.0, load))


def until(condition: Callable[[], T], seconds: float = 10, pause: float = 0.02) -> T:
    """Call ``condition`` every ``pause`` seconds until its value is true. Return the value; fail after ``seconds``.

    On a busy machine, the limit is longer (`loaded`).
    """
    began = time.monotonic()
    while not (value := condition()):
        assert time.monotonic() - began < loaded(seconds), "it never came true"
        time.sleep(pause)
    return value


def install_busybox(root: Path, *applets: str) -> None:
    """Copy busybox into ``bin`` of a root file system, and add a link to it for each applet."""
    (root / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(str(shutil.which("busybox")), root / "bin" / "busybox")
    for applet in applets:
        (root / "bin" / applet).symlink_to("busybox")


def let_others_pass(path: Path) -> None:
    """Allow other users to enter the directories between /tmp and ``path``."""
    for parent in path.parents:
        if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)


def require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root and a real kernel")


@contextmanager
def new_host(state: Path, *, ipv6: bool) -> Iterator[Host]:
    """Make a host with a peer for the ``with`` block of a shared fixture. ``ipv6`` says whether the peer has IPv6."""
    require_root()
    peer = Peer(f"hwt{os.getpid()}p{next(COUNTER)}", ipv6=ipv6)
    host = Host(f"hwt{os.getpid()}h{next(COUNTER)}", peer, state)
    yield host
    host.delete()
    peer.delete()


@pytest.fixture
def netns() -> Iterator[Netns]:
    """An empty network namespace for one test."""
    require_root()
    n = Netns(f"hwt{os.getpid()}n{next(COUNTER)}")
    yield n
    n.delete()


@pytest.fixture
def peer() -> Iterator[Netns]:
    """A peer for one test."""
    require_root()
    n = Peer(f"hwt{os.getpid()}p{next(COUNTER)}", ipv6=True)
    yield n
    n.delete()


@pytest.fixture
def host(peer: Netns, tmp_path: Path) -> Iterator[Host]:
    """A new host for one test; the host is deleted after the test."""
    h = Host(f"hwt{os.getpid()}h{next(COUNTER)}", peer, tmp_path)
    yield h
    h.delete()


@pytest.fixture(scope="module")
def module_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host for all tests of a module, which use it through `shared_host`."""
    with new_host(tmp_path_factory.mktemp("host"), ipv6=True) as made:
        yield made


@pytest.fixture
def shared_host(module_host: Host) -> Iterator[Host]:
    """The host that all tests of a module share. After each test, its containers and its networks are removed."""
    yield module_host
    module_host.remove_objects()
