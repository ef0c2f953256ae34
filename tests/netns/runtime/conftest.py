"""A container runtime in a temporary network namespace. The fixture ends the containers and the supervisor after the
test.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.eventloop.readiness import wait_readable
from engine.model import ExecCreate, LogOptions, Mount
from engine.runtime import syscalls
from engine.runtime.api import ProcessSpec, Stdio
from engine.runtime.local import LocalRuntime
from tests.conftest import until
from tests.netns.engine.killing import processes

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Lab:
    """A container runtime with short helper methods for the tests."""

    def __init__(self, state: Path, netns: str) -> None:
        self.netns = netns
        self.state, self.run_dir = state, state / "run"
        self.runtime = LocalRuntime(state / "root", self.run_dir)
        self.defaults: dict[str, object] = {}

    def log(self, name: str) -> str:
        return str(self.state / "logs" / f"{name}.log")

    def spec(self, name: str, *argv: str, **fields) -> ProcessSpec:
        env = [PATH, *fields.pop("env", [])]
        return ProcessSpec(id=name, argv=argv, env=env, **{"log_path": self.log(name), **self.defaults, **fields})

    def launch(self, name: str, *argv: str, **fields):
        self.runtime.create(self.spec(name, *argv, **fields))
        created = self.runtime.prepared(name)
        self.runtime.start(name)
        return created

    def run(self, name: str, *argv: str, **fields) -> tuple[int, str]:
        """Run a container until it exits; return the exit code and everything that the container wrote."""
        self.launch(name, *argv, **fields)
        code = self.runtime.wait(name, timeout=20)
        return code, self.output(name)

    def sh(self, script: str, **fields) -> str:
        name = fields.pop("name", "once")
        code, output = self.run(name, "sh", "-c", script, **fields)
        self.runtime.delete(name)
        Path(self.log(name)).unlink()
        assert code == 0, output
        return output

    def output(self, name: str, stream: str = "") -> str:
        lines = self.runtime.logs(self.log(name), LogOptions(), name)
        return b"".join(line.data for line in lines if stream in ("", line.stream)).decode()

    def exec(self, name: str, *cmd: str, stdin: bytes = b"", **fields) -> tuple[int, str]:
        """Run a command in a running container; return the exit code, and the output and errors together."""
        (in_read, in_write), (out_read, out_write) = os.pipe(), os.pipe()
        os.write(in_write, stdin)
        os.close(in_write)
        chunks: list[bytes] = []
        reader = threading.Thread(target=lambda: chunks.extend(iter(lambda: os.read(out_read, 65536), b"")))
        reader.start()
        try:
            request = ExecCreate(cmd=cmd, attach_stdin=bool(stdin), **fields)
            code = self.runtime.exec(name, request, Stdio(in_read, out_write, out_write))
        finally:
            os.close(in_read)
            os.close(out_write)
            reader.join()
            os.close(out_read)
        return code, b"".join(chunks).decode()

    def pid(self, name: str) -> int:
        return self.runtime.state(name).pid

    def await_output(self, name: str, text: str) -> None:
        for _ in range(250):
            if text in self.output(name):
                return
            time.sleep(0.02)
        raise AssertionError(f"{text!r} not in {self.output(name)!r}")

    def await_death(self, pid: int) -> None:
        for _ in range(250):
            if not Path(f"/proc/{pid}/exe").exists():
                return
            time.sleep(0.02)
        raise AssertionError(f"{pid} lives")

    def enter_namespace(self) -> None:
        """Move the calling thread into this lab's network namespace."""
        with open(self.netns) as inside:
            syscalls.setns(inside.fileno(), syscalls.CLONE_NEWNET)

    def supervisor_pid(self) -> int:
        """Return the pid of the process that holds the supervisor's lock, or 0 if no process holds the lock."""
        inode = (self.run_dir / "supervisor.lock").stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "FLOCK" in fields and fields[-3].endswith(f":{inode}"):
                return int(fields[-4])
        return 0

    def kill_supervisor(self) -> None:
        pid = self.supervisor_pid()
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        wait_readable([pidfd], seconds=5)
        os.close(pidfd)

    def clean(self) -> None:
        containers = self.run_dir / "containers"
        for entry in containers.iterdir() if containers.exists() else ():
            self.runtime.delete(entry.name)
        # Remove this file first, because the guard starts a supervisor again while the file exists.
        (self.run_dir / "supervisor.start").unlink(missing_ok=True)
        until(lambda: not self.end_residents())

    def end_residents(self) -> list[int]:
        """Kill the supervisor and the guard of this lab; return the pids of those that still ran."""
        end = f"{self.run_dir}\0".encode()
        pids = processes(lambda line: line.endswith(end) and b"engine.runtime" in line)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids


@pytest.fixture(params=["hostfs", "image"])
def either(request, lab: Lab, tmp_path: Path) -> str:
    """Run each test twice: with containers on the host's own files, and with an image that has copies of most of the
    host's files.
    """
    if request.param == "image":
        root = tmp_path / "image"
        shutil.copytree("/etc", root / "etc", symlinks=True, ignore=lambda *_: ("ssl", "alternatives", "netns"))
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (root / name).symlink_to(os.readlink(f"/{name}"))
        (root / "tmp").mkdir()
        mounts = [Mount("/usr", "/usr", read_only=True), Mount("/tmp", "/tmp"), Mount(str(tmp_path), str(tmp_path))]
        lab.defaults = {"rootfs": str(root), "overlay_dir": str(tmp_path / "layer"), "mounts": mounts}
    return request.param


@pytest.fixture
def lab(netns, tmp_path: Path) -> Iterator[Lab]:
    """A container runtime in a new network namespace.

    The test's thread works in this namespace, as hawse commands work in the namespace of their host.
    """
    with open("/proc/thread-self/ns/net") as before:
        lab = Lab(tmp_path, netns.path)
        lab.enter_namespace()
        try:
            yield lab
        finally:
            lab.clean()
            syscalls.setns(before.fileno(), syscalls.CLONE_NEWNET)
