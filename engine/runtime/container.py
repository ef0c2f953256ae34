"""The supervisor's object for one container, from the fork of its first process to the exit code.

The stages of a container are preparing (its namespaces are being created), waiting (for ``start``), starting, running
and ended. After the end, the exit code is written to disk first, so that no crash can lose it. If the disk is full, the
supervisor keeps the exit code in memory and tries again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time

from drivers.linux.process import is_running, start_time
from engine.eventloop.loop import Loop
from engine.runtime import cgroup, crun, image_init, init, process, protocol, syscalls
from engine.runtime.connection import Connection
from engine.runtime.directory import ContainerDirectory
from engine.runtime.errors import CREATE, OTHER, SetupFailed, describe, message
from engine.runtime.jobs import Jobs
from engine.runtime.kernel_log import KernelLog
from engine.runtime.on_exit import OnExit
from engine.runtime.reaper import Children
from engine.runtime.shared_pids import MountNamespace
from engine.runtime.stop_order import StopOrder
from engine.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Set
    from typing import Any

    from engine.runtime.directory import Spec

_kernel_log = KernelLog()

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 30.0
"""Seconds from an error, such as a full disk, to the next attempt to write a file: after the first error, and at most.
"""


class Container:
    """The first process of a container, its streams, and the connections of clients that wait for the process's end."""

    def __init__(
        self,
        loop: Loop,
        children: Children,
        directory: ContainerDirectory,
        spec: Spec,
        on_end: Callable[[Container], None],
        jobs: Jobs,
    ) -> None:
        self.directory, self.spec, self.on_end = directory, spec, on_end
        self.stop_order = StopOrder(loop, directory, self._signal)
        self.on_exit = OnExit(directory, spec, self.stop_order, jobs)
        self.streams = Streams(loop, children, directory, spec)
        self.waiters: list[Connection] = []
        self.stage, self.exit_code, self.ended_at = "preparing", 0, 0.0
        self.pid = self.pid_start = 0
        self.started_at = 0.0
        self.failure: dict[str, Any] | None = None
        self._asked: Connection | None = None
        self._channel: socket.socket | None = None
        self._loop, self._children, self._pidfd = loop, children, -1
        self._early_status: int | None = None
        self._maker = 0  # pid of the child that runs crun (for images and directories); 0 after the child's end
        self._mounts = MountNamespace()
        self._kept: dict[str, int] = {}  # crun's files of the container: path and open descriptor

    # -------------------------------------------------------------------------------- creation and start

    def create(self, connection: Connection, mounts: int, network: int, own_pid_namespace: int) -> None:
        """Fork the process that creates the container; ``connection`` gets a reply when the network namespace exists.

        For hostfs, the forked process becomes the container's first process. For other containers, it runs crun.
        ``mounts`` and ``network`` are file descriptors of the client's mount and network namespaces.
        ``own_pid_namespace`` is a file descriptor of the supervisor's pid namespace.
        """
        self._asked = connection
        self.streams.open_fifos()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        program = crun.sealed_program() if self.spec["rootfs"] != "/" else -1
        inherited = init.ChildSetup(theirs, mounts, network, self.streams.open_for_child(), program)
        try:
            if self.spec["rootfs"] == "/":
                self.pid = _fork(self.spec, inherited, own_pid_namespace)
                self._children.expect(self.pid, self._died)
            else:
                self.pid = self._maker = self._fork_maker(inherited)
                self._children.expect(self._maker, self._maker_ended)
        finally:  # the parent gets here, also if the fork fails; a child never returns from the fork
            theirs.close()
            for fd in set(inherited.stdio):
                os.close(fd)
        self._note_process(self.pid, start_time(self.pid))
        self._loop.watch(self._channel.fileno(), self._heard)

    def _fork_maker(self, inherited: init.ChildSetup) -> int:
        pid = os.fork()
        if pid == 0:
            image_init.run(self.spec, inherited, self.directory)
        return pid

    def abandon(self) -> None:
        """End a failed creation: kill the container's process; idempotent."""
        self._close_channel()
        if self.pid:
            self._children.forget(self.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _note_process(self, pid: int, start: int) -> None:
        self.pid, self.pid_start = pid, start
        self.directory.write("process", {"pid": pid, "start": start})

    def _note_start(self, at: float) -> None:
        self.started_at = at
        self._record("started", {"at": at})
        if self.spec["rootfs"] != "/":
            self._kept = crun.keep_state(self.directory)

    def restore(self, present: Set[str]) -> None:
        """Write the container's missing files in HAWSE_RUN again if the container runs; idempotent.

        ``present`` has the paths of all entries of HAWSE_RUN's directories. The caller lists these directories once for
        all containers. Two look-ups for each of a thousand containers would take 7 ms.
        """
        sandbox = self.spec.get("sandbox", "")
        exists = self.directory.path in present or self.directory.exists()
        is_linked = not sandbox or sandbox in present or os.path.lexists(sandbox)
        if exists and is_linked and all(map(os.path.exists, self._kept)):
            return  # checked first, because the state of a thousand processes takes 10 ms to read
        if self.stage != "running" or not is_running(self.pid, self.pid_start):
            return
        if not exists:
            self.directory.create(self.spec)
            self._note_process(self.pid, self.pid_start)
            self.directory.write("started", {"at": self.started_at})
        if not is_linked:
            os.makedirs(os.path.dirname(sandbox), mode=0o700, exist_ok=True)
            os.symlink(f"/proc/{self.pid}/ns/net", sandbox)
        crun.restore_state(self._kept)

    def adopt(self) -> bool:
        """Take over a container's process from an ended supervisor; return whether this supervisor now handles it.

        - If no process is recorded, or its end is recorded: returns False.
        - If the process never executed the command: kills the process if it still runs, and returns False.
        - If the process has ended, but its end is not recorded: records the exit code `process.LOST`, and returns True.
        - If the process runs: returns True.

        Raises OSError. Raises ValueError, KeyError or TypeError if a file of the container is damaged.
        """
        known = self.directory.read("process")
        if known is None or self.directory.read("exit") is not None:
            return False
        self.pid, self.pid_start = known["pid"], known["start"]
        pidfd = process.open_pidfd(self.pid, self.pid_start)
        started = self.directory.read("started") is not None
        if pidfd is not None and not started and _never_executed(self.pid, self.directory.path):
            os.kill(self.pid, signal.SIGKILL)  # the process waits for a message of the supervisor that has ended
            os.close(pidfd)
            return False
        if pidfd is None and not started:
            return False
        self.stage = "running"
        self.stop_order.resume()
        self.streams.open_fifos(adopted=self.pid)
        if pidfd is None:
            self._ended(process.LOST)
            return True
        self._note_start((self.directory.read("started") or {"at": time.time()})["at"])
        self._pidfd = pidfd
        self._loop.watch(pidfd, self._orphan_died)
        if self.spec["pid_host"]:
            self._mounts.take_from(self.pid)
        return True

    def prepare(self, connection: Connection) -> None:
        """Reply to ``connection`` when the process is ready to be started, or when its creation has failed."""
        self._asked = connection
        if self.failure is not None:
            self._answer(self.failure)
        elif not self._maker or self.pid != self._maker:
            self._answer(self._process())

    def _process(self) -> dict[str, Any]:
        return {"ok": True, "pid": self.pid, "start": self.pid_start}

    def start(self, connection: Connection) -> None:
        """Let the process execute the command; ``connection`` gets a reply when this has succeeded or failed."""
        if self.stage != "waiting":
            connection.reply({"ok": True})
            return
        self._asked, self.stage = connection, "starting"
        if self.failure is not None:
            self._answer(self.failure)
        elif self._channel is not None:
            # If the process has already ended, the send fails, and `_heard` reads the process's error message.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._channel.send(init.GO)

    def _heard(self, _events: int) -> None:
        while self._channel is not None:
            try:
                data, fds = protocol.receive_with_fds(self._channel)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # the process ended before it read the start message; its error message follows
            self._understand(data, fds)

    def _understand(self, data: bytes, fds: list[int]) -> None:
        if data.startswith(init.READY):
            self.stage = "waiting"
            self._hold_mounts(fds, self.pid)
            self._answer(self._process())
        elif data.startswith(image_init.PREPARED):
            document = json.loads(data[1:])
            self._children.expect(document["pid"], self._died)
            self._hold_mounts(fds, document["pid"])
            try:
                self._note_process(document["pid"], document["start"])
            except OSError as error:  # disk full: without the file, the next supervisor cannot find the process
                self.failure = {"kind": OTHER, "message": message(SetupFailed(OTHER, describe(error)), CREATE)}
                os.kill(document["pid"], signal.SIGKILL)
            if self.stage == "waiting":
                self._answer(self.failure or self._process())
        elif data.startswith(init.TERMINAL):
            self.streams.take_terminal(fds[0])
        elif data.startswith(init.FAILED):
            self.failure = json.loads(data[1:])
            if self.stage != "waiting":
                self._answer(self.failure)
        else:
            self._close_channel()
            if not self._maker:
                self._executed()

    def _executed(self) -> None:
        if self.stage == "starting" and self.failure is None:
            self._note_start(time.time())
            self.stage = "running"
            self.streams.begin()
            self._answer({"ok": True})

    def _maker_ended(self, status: int) -> None:
        """Handle the end of the child that ran crun; ``status`` is its wait status.

        If crun succeeded, the container's first process is now a child of the supervisor and runs the command. If crun
        failed, the processes that crun created are killed.
        """
        self._heard(0)
        made, self._maker = self.pid != self._maker, 0
        if status == 0 and made:
            self._executed()
            if self._early_status is not None:
                self._ended(process.exit_code(self._early_status))
            return
        if made:
            self._children.forget(self.pid)
        crun.kill_unstarted(self.directory.path)
        self._ended(process.exit_code(status))

    def _answer(self, document: dict[str, Any]) -> None:
        if self._asked is not None:
            self._asked.reply(document)
            self._asked = None

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._loop.close_socket(self._channel)
            self._channel = None

    def _hold_mounts(self, fds: list[int], pid: int) -> None:
        """Hold the mount namespace of a ``--pid host`` container, and create the container's control group.

        ``fds`` has one file descriptor of the mount namespace, which stays open. ``pid`` is the container's first
        process, which is moved to the control group. For containers without ``--pid host``, ``fds`` is empty, and
        nothing happens.
        """
        for fd in fds:
            self._mounts.take(fd)
            cgroup.enter(self.directory.path, pid)

    # ------------------------------------------------------------------------------------- signals and end

    def _signal(self, number: int) -> None:
        pidfd = process.open_pidfd(self.pid, self.pid_start)
        if pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
            os.close(pidfd)

    def _died(self, status: int) -> None:
        if self._maker:  # wait for the child that runs crun: its status says whether the command was executed
            self._early_status = status
            return
        self._heard(0)
        self._ended(process.exit_code(status))

    def _orphan_died(self, _events: int) -> None:
        status = self._orphan_status()
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._ended(process.exit_code(status))

    def _orphan_status(self) -> int:
        """Return the wait status of a process that an earlier supervisor started.

        The process is not a child of this supervisor, so another process reaps it. This function blocks up to 2 s until
        that has happened. If the status is still unknown then, returns a status with the exit code `process.LOST`.
        """
        for _ in range(200):
            status_of_orphan = process.foreign_exit_status(self.pid, self._pidfd)
            if status_of_orphan is not None:
                return status_of_orphan
            time.sleep(0.01)
        return process.LOST << 8

    def _ended(self, code: int) -> None:
        was_running, self.stage, self.exit_code, self.ended_at = self.stage == "running", "ended", code, time.time()
        if was_running:
            self._record("exit", {"code": code, "at": self.ended_at, **self._cause()})
        else:
            self.failure = self.failure or _vanished()
            self._answer(self.failure)
            self.streams.discard()
        self.stop_order.cancel()
        if self.spec["pid_host"]:
            self._end_others()
        self._close_channel()
        for fd in self._kept.values():
            os.close(fd)
        self._kept = {}
        self.streams.close()
        if was_running:
            self.on_exit.register()
        for client in list(self.streams.attached):
            client.reply(self.ending)
            client.finish()
        self._answer_waiters()
        self.on_end(self)
        if not self.on_exit.is_held:
            self.on_exit.run()

    def _answer_waiters(self) -> None:
        """Send the exit code and the end time (`ending`) to all clients that wait for the process's end."""
        for waiter in list(self.waiters):  # a copy, because a failed reply removes the waiter
            waiter.reply(self.ending)

    def _end_others(self) -> None:
        """End all processes of a container with ``--pid host`` except the first, which has ended already.

        Blocks for up to 3 s if they cannot be ended.
        """
        cgroup.kill(self.directory.path)
        self._mounts.end()
        cgroup.remove(self.directory.path)

    def _cause(self) -> dict[str, bool]:
        """Return the fields of the file ``exit`` that say why the process ended; {} if the reason is unknown.

        If a client has requested the end, the fields describe this request. Otherwise the kernel log shows whether the
        kernel killed the process because memory ran out. The log is read only after a SIGKILL. The log is not read if a
        client handles the container's end (`OnExit.is_held`).
        """
        ordered = self.stop_order.outcome()
        if self.exit_code != 128 + signal.SIGKILL or ordered or self.on_exit.is_held:
            return ordered
        return {"oom": True} if _kernel_log.killed_for_memory(self.pid, self.pid_start) else {}

    @property
    def ending(self) -> dict[str, Any]:
        """The container's end as clients get it: the exit code ("exit") and the time in Unix seconds ("at")."""
        return {"exit": self.exit_code, "at": self.ended_at}

    def _record(self, name: str, document: dict[str, Any], retry: float = 0.0) -> None:
        """Write ``document`` to the container's file ``name``; after an error, try again later.

        ``retry`` is the pause before this attempt in seconds, or 0 for the first attempt. A later attempt does nothing
        if the container has been removed or started again meanwhile.
        """
        known = (self.directory.read("process") or {}) if retry else {}
        if retry and (known.get("pid"), known.get("start")) != (self.pid, self.pid_start):
            return  # the container was removed or started again
        try:
            self.directory.write(name, document)
        except OSError:
            pause = min(max(FIRST_RETRY_SECONDS, 2 * retry), LONGEST_RETRY_SECONDS)
            self._loop.after(pause, lambda: self._record(name, document, pause))
            return


def _fork(spec: Spec, inherited: init.ChildSetup, own_pid_namespace: int) -> int:
    """Fork a child that becomes the container's first process, and return its pid.

    Without ``--pid host``, the child is in a new pid namespace. Later forks of the supervisor stay in the supervisor's
    pid namespace, to which the file descriptor ``own_pid_namespace`` refers. The child gets the file descriptors in
    ``inherited``.
    """
    if not spec["pid_host"]:
        syscalls.unshare(syscalls.CLONE_NEWPID)
    try:
        pid = os.fork()
        if pid == 0:
            init.run(spec, inherited)
    finally:  # the parent gets here, also if the fork fails; a child never returns from the fork
        if not spec["pid_host"]:
            syscalls.setns(own_pid_namespace, syscalls.CLONE_NEWPID)
    return pid


def _never_executed(pid: int, bundle: str) -> bool:
    """Return whether a process has not executed the container's command yet; ``bundle`` is the container's directory.

    Such a process is of one of two kinds:

    - a child that a supervisor has forked, and that still has the supervisor's command line
    - the first process of a container that crun has created but not started

    Also returns True for a process that has ended or is ending.
    """
    if pid in crun.unstarted(bundle):
        return True
    lines = []
    for entry in (pid, "self"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                lines.append(file.read())
        except OSError:
            lines.append(b"")
    return lines[0] in (lines[1], b"")  # an empty command line means that the process is ending


def _vanished() -> dict[str, Any]:
    failure = SetupFailed(OTHER, "error during container init: the process ended before it was started")
    return {"kind": OTHER, "message": message(failure, CREATE)}
