"""A running container as the supervisor sees it: its life from fork to exit code.

The stages are preparing (namespaces being made), waiting (for ``start``), starting, running and ended. The exit code
is on disk before anything else happens, so that no crash can lose it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time

from engine.runtime import init, kernel, process, wire
from engine.runtime.directory import ContainerDirectory
from engine.runtime.failure import CREATE, OTHER, SetupFailed, message
from engine.runtime.loop import READABLE, Connection, Loop
from engine.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

LOST = 255
"""The exit code recorded where nobody can tell it any more."""


class Container:
    """One process with its streams and those who wait for it."""

    def __init__(
        self, loop: Loop, directory: ContainerDirectory, spec: Mapping[str, Any], on_end: Callable[[Container], None]
    ) -> None:
        self.directory, self.spec, self.on_end = directory, spec, on_end
        self.streams = Streams(loop, directory, spec)
        self.waiters: list[Connection] = []
        self.stage, self.exit_code = "preparing", 0
        self.pid = self.pid_start = 0
        self.failure: dict[str, Any] | None = None
        self._asked: Connection | None = None
        self._channel: socket.socket | None = None
        self._loop, self._pidfd, self._own = loop, -1, True
        self._holders, self._unsettled = 0, False

    # -------------------------------------------------------------------------------------------- birth

    def create(self, asked: Connection, mounts: int, network: int, own_pid_namespace: int) -> None:
        """Fork the first process; ``asked`` hears of it when its namespaces exist."""
        self._asked = asked
        self.streams.open_fifos()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        birth = init.Birth(theirs, mounts, network, self.streams.open_for_child())
        self.pid = _fork(self.spec, birth, self.directory.file("rootfs"), own_pid_namespace)
        theirs.close()
        for fd in set(birth.stdio):
            os.close(fd)
        self.pid_start = process.start_time(self.pid)
        self.directory.write("process", {"pid": self.pid, "start": self.pid_start})
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.watch(self._channel.fileno(), READABLE, self._heard)
        self._loop.watch(self._pidfd, READABLE, self._died)

    def adopt(self) -> bool:
        """Take over a process whose supervisor has gone; False when there is nothing to take over."""
        known = self.directory.read("process")
        if known is None or self.directory.read("exit") is not None:
            return False
        self.pid, self.pid_start, self._own = known["pid"], known["start"], False
        pidfd = process.open_pidfd(self.pid, self.pid_start)
        if pidfd is not None and _never_executed(self.pid):
            os.kill(self.pid, 9)  # it is on its way out: its supervisor went before it was started
            os.close(pidfd)
            return False
        if pidfd is None and self.directory.read("started") is None:
            return False
        self.stage = "running"
        self.streams.open_fifos(adopting=True)
        if pidfd is None:
            self._ended(LOST)
            return True
        if self.directory.read("started") is None:
            self.directory.write("started", {"at": time.time()})
        self._pidfd = pidfd
        self._loop.watch(pidfd, READABLE, self._died)
        return True

    def start(self, asked: Connection) -> None:
        """Let the process execute; ``asked`` hears of it when it has, or why it could not."""
        if self.stage != "waiting":
            asked.reply({"ok": True})
            return
        self._asked, self.stage = asked, "starting"
        if self.failure is not None:
            self._answer(self.failure)
        elif self._channel is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its last words are about to be read
                self._channel.send(init.GO)

    def _heard(self, _events: int) -> None:
        while self._channel is not None:
            try:
                data, fds = wire.receive_with_fds(self._channel)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it ended with our GO unread; its last words come after this error
            self._understand(data, fds)

    def _understand(self, data: bytes, fds: list[int]) -> None:
        if data.startswith(init.READY):
            self.stage = "waiting"
            self._answer({"ok": True, "pid": self.pid, "start": self.pid_start})
        elif data.startswith(init.TERMINAL):
            self.streams.take_terminal(fds[0])
        elif data.startswith(init.FAILED):
            self.failure = json.loads(data[1:])
            if self.stage != "waiting":
                self._answer(self.failure)
        else:
            self._close_channel()
            if self.stage == "starting" and self.failure is None:
                self.directory.write("started", {"at": time.time()})
                self.stage = "running"
                self._answer({"ok": True})

    def _answer(self, document: dict[str, Any]) -> None:
        if self._asked is not None:
            self._asked.reply(document)
            self._asked = None

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None

    # -------------------------------------------------------------------------------------------- death

    def _died(self, _events: int) -> None:
        self._heard(0)
        status = self._status()
        if status is None:
            return
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._ended(process.exit_code(status))

    def _status(self) -> int | None:
        """The wait status; an orphan's is told once its new parent has reaped it, which may take a moment."""
        if self._own:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return status if pid else None
        for _ in range(200):
            status_of_orphan = process.foreign_exit_status(self.pid, self._pidfd)
            if status_of_orphan is not None:
                return status_of_orphan
            time.sleep(0.01)
        return LOST << 8

    def _ended(self, code: int) -> None:
        was_running, self.stage, self.exit_code = self.stage == "running", "ended", code
        if was_running:
            self.directory.write("exit", {"code": code, "at": time.time()})
        else:
            self.failure = self.failure or _vanished()
            self._answer(self.failure)
        self._close_channel()
        self.streams.close()
        for client in list(self.streams.attached):
            client.reply({"exit": code})
            client.finish()
        for waiter in self.waiters:
            waiter.reply({"exit": code})
        self.on_end(self)
        self._unsettled = was_running and bool(self.spec["on_exit"])
        if not self._holders:
            self._settle()

    def hold(self) -> None:
        """Keep ``on_exit`` back, because somebody is here to settle the end; see `release`."""
        self._holders += 1

    def release(self) -> None:
        """Let go again; the end is settled when the container's files are gone, else whoever held it was killed."""
        self._holders -= 1
        if not self._holders and self.directory.exists():
            self._settle()

    def _settle(self) -> None:
        """Run ``on_exit``, once, as a process of its own, and reap it when it is done."""
        if not self._unsettled:
            return
        self._unsettled = False
        null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
        env = {**os.environ, **self.spec["on_exit_env"]}
        argv = self.spec["on_exit"]
        try:
            pid = os.posix_spawnp(argv[0], argv, env, file_actions=null, setsid=True, setsigdef=[13, 25])
        except OSError:
            return
        pidfd = os.pidfd_open(pid)

        def reap(_events: int) -> None:
            self._loop.forget(pidfd)
            os.close(pidfd)
            os.waitpid(pid, 0)

        self._loop.watch(pidfd, READABLE, reap)


def _fork(spec: Mapping[str, Any], birth: init.Birth, mount_point: str, own_pid_namespace: int) -> int:
    """Fork into a new pid namespace while staying the parent: only children enter it, so we leave it again."""
    if not spec["pid_host"]:
        kernel.unshare(kernel.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        init.run(spec, birth, mount_point)
    if not spec["pid_host"]:
        kernel.setns(own_pid_namespace, kernel.CLONE_NEWPID)
    return pid


def _never_executed(pid: int) -> bool:
    """Whether a process is still the fork of a supervisor that it began as."""
    lines = []
    for who in (pid, "self"):
        try:
            with open(f"/proc/{who}/cmdline", "rb") as file:
                lines.append(file.read())
        except OSError:
            lines.append(b"")
    return lines[0] == lines[1]


def _vanished() -> dict[str, Any]:
    failure = SetupFailed(OTHER, "error during container init: the process ended before it was started")
    return {"kind": OTHER, "message": message(failure, CREATE)}
