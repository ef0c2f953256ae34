"""Throwaway hosts: every test that needs a kernel gets network namespaces of its own.

A *host* is a network namespace with ``lo`` up and ``ext0`` (192.168.99.11/24, fd99::11/64) on a wire to a *peer*
namespace (192.168.99.99, fd99::99); plus a HAWSE_ROOT and a HAWSE_RUN of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from engine.runtime import process
from tests.installation import CHECKOUT, script

T = TypeVar("T")
COUNTER = itertools.count(1)
COLD = [sys.executable, "-m", "cli"]
WARM = [str(script())]
HAWSE = WARM if os.environ.get("HAWSE_TEST_WARM") == "on" else COLD


def pytest_configure() -> None:
    # A shell's background jobs ignore some signals, and so would everything that the tests start and interrupt.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Netns:
    """A network namespace by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.run("ip", "link", "set", "lo", "up")

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

    def delete(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        shutil.rmtree(f"/etc/netns/{self.name}", ignore_errors=True)


class Host(Netns):
    """A host that runs hawse: its namespace, its HAWSE_ROOT and HAWSE_RUN, and a neighbour on the same wire."""

    def __init__(self, name: str, peer: Netns, state: Path, index: int = 1) -> None:
        super().__init__(name)
        self.peer, self.state, self.index = peer, state, index
        self.root, self.run_dir = state / f"h{index}" / "root", state / f"h{index}" / "run"
        self.address, self.address6 = f"192.168.99.{10 + index}", f"fd99::{10 + index}"
        self.sh("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0")
        subprocess.run(
            ["ip", "-n", peer.name, "link", "add", f"v{index}", "type", "veth", "peer", "name", "ext0", "netns", name],
            check=True,
        )
        peer.sh(f"ip link set v{index} master br0 up")
        self.sh(
            f"ip addr add {self.address}/24 dev ext0; ip -6 addr add {self.address6}/64 dev ext0 nodad; "
            "ip link set ext0 up; ip route add default via 192.168.99.99"
        )
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
        """The argument vector of a hawse command on this host; it wants `env`."""
        return ["ip", "netns", "exec", self.name, *HAWSE, *argv]

    def hawse(
        self,
        *argv: str,
        check: bool = True,
        input: str | None = None,
        timeout: float = 60,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one hawse command on this host."""
        command = self.command(*argv)
        kw = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        r = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=self.env(**(env or {})), **kw)
        if check and r.returncode:
            raise AssertionError(f"hawse {argv}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def kill_processes(self) -> None:
        """End every process that carries this host's mark, lives in its namespace, or descends from such a one."""
        mark, inode = f"HAWSE_TEST_HOST={self.name}".encode(), os.stat(self.path).st_ino
        for _ in range(5):
            hit = self.container_processes()
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit() or int(entry.name) == os.getpid():
                    continue
                try:
                    marked = mark in (entry / "environ").read_bytes().split(b"\0")
                    if marked or (entry / "ns" / "net").stat().st_ino == inode:
                        hit.add(int(entry.name))
                except OSError:
                    continue
            if not hit:
                return
            for pid in hit:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue

    def container_processes(self) -> set[int]:
        """The first processes of containers: they live in namespaces of their own and bear no mark."""
        known = [json.loads(file.read_text()) for file in self.run_dir.glob("containers/*/process")]
        return {p["pid"] for p in known if process.is_alive(p["pid"], p["start"])}

    def delete(self) -> None:
        self.kill_processes()
        super().delete()


def until(condition: Callable[[], T], seconds: float = 10) -> T:
    """Wait until a condition holds, and return its value; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


def require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root and a real kernel")


@pytest.fixture
def netns() -> Iterator[Netns]:
    """One empty network namespace."""
    require_root()
    n = Netns(f"hwt{os.getpid()}n{next(COUNTER)}")
    yield n
    n.delete()


@pytest.fixture
def peer() -> Iterator[Netns]:
    """The neighbour: a namespace with a bridge br0 that hosts are plugged into."""
    require_root()
    n = Netns(f"hwt{os.getpid()}p{next(COUNTER)}")
    n.sh(
        "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; "
        "ip link add br0 address 02:00:00:00:99:99 type bridge; "
        "ip addr add 192.168.99.99/24 dev br0; ip -6 addr add fd99::99/64 dev br0 nodad; ip link set br0 up"
    )
    yield n
    n.delete()


@pytest.fixture
def host(peer: Netns, tmp_path: Path) -> Iterator[Host]:
    """One fresh host."""
    h = Host(f"hwt{os.getpid()}h{next(COUNTER)}", peer, tmp_path)
    yield h
    h.delete()
