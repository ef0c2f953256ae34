"""The runtime of this host. Commands use it to manage containers, through files, kernel state and the supervisor.

The supervisor is needed to create, stop and restart processes, to attach to containers, and to wait for their ends. If
the supervisor was killed while containers run, the next command on such a container starts a new supervisor. A
supervisor that a signal has stopped is killed and replaced (`peer.await_answer`), so no command waits for it.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import asdict

from drivers.linux.process import is_running
from engine.eventloop.readiness import wait_readable
from engine.model import ExecCreate, LogOptions
from engine.paths import make_private_directory
from engine.runtime import crun, logs, peer, process, protocol, supervisor_client
from engine.runtime.api import (
    CreatedProcess,
    LogLine,
    ProcessSpec,
    ProcessState,
    RuntimeFailure,
    Stdio,
    StopRequest,
    WaitReadable,
)
from engine.runtime.attach import SupervisedAttachment, SupervisedEnd, SupervisedStreams
from engine.runtime.directory import ContainerDirectory, crun_root
from engine.runtime.errors import OTHER
from engine.runtime.exec import execute_in
from engine.runtime.image_exec import execute_in_image

_DEATH_SECONDS = 10.0  # seconds to wait until a killed process has vanished
_ANSWER_SECONDS = 5.0  # seconds to wait for the supervisor's reply to a request that needs no other process
_CREATION_SECONDS = 60.0  # seconds to wait for the supervisor's reply while it creates a process on a busy host
RESTORE_SECONDS = 1.0  # seconds to wait until a supervisor has written the files of a running container again
_RECORD_SECONDS = 2.0  # seconds to wait until the supervisor has recorded the end of a process
_ATTEMPTS = 2


class LocalRuntime(Struct, eq=False):
    """Implements `engine.runtime.api.Runtime`, which describes the methods.

    ``root`` is HAWSE_ROOT, and ``run`` is HAWSE_RUN. ``_answers`` is False after a supervisor did not answer a request
    in time.
    """

    root: Path
    run: Path
    _answers: bool = True

    def create(self, spec: ProcessSpec) -> CreatedProcess:
        """Create a container's namespaces, and a process that waits for `start`; raises `RuntimeFailure`.

        The process gets a copy of the caller's mount tree.
        """
        directory = self._directory(spec.id)
        if self.state(spec.id).running:
            raise RuntimeFailure(OTHER, f"container {spec.id} is running")
        self.delete(spec.id)
        make_private_directory(Path(directory.path))
        directory.create(prepare(spec, hidden=(self.root, self.run)))
        mounts, network = (os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net"))
        try:
            answer = self._ask({"op": "create", "id": spec.id}, (mounts, network))
        except RuntimeFailure:
            self.delete(spec.id)
            raise
        finally:
            os.close(mounts)
            os.close(network)
        return CreatedProcess(answer["pid"], answer["start"], f"/proc/{answer['pid']}/ns/net")

    def prepared(self, container_id: str) -> CreatedProcess:
        """Wait until the container is ready for `start`, except for its network; return its process."""
        answer = self._ask({"op": "prepare", "id": container_id})
        return CreatedProcess(answer["pid"], answer["start"], f"/proc/{answer['pid']}/ns/net")

    def start(self, container_id: str) -> None:
        """Let the waiting process execute the command; raises `RuntimeFailure` if the command cannot be executed."""
        self._ask({"op": "start", "id": container_id})

    def state(self, container_id: str) -> ProcessState:
        """Return the state of the container's process from the container's files.

        Starts a supervisor if no supervisor runs and the container's end is not recorded. If the process has died,
        blocks up to 2 s until the supervisor reports the end.
        """
        directory = self._directory(container_id)
        known = directory.read("process")
        if known is None:
            return ProcessState(running=False)
        ended = directory.read("exit")
        if ended is None:
            self.keep_supervisor()
            if not is_running(known["pid"], known["start"]):
                ended = self._ask_for_end(container_id)
        started, ended = directory.read("started"), directory.read("exit") or ended
        started_at = started["at"] if started else 0.0
        if ended is not None:
            return ProcessState(
                running=False,
                exit_code=ended["code"],
                started_at=started_at,
                finished_at=ended["at"],
                stopped=ended.get("stopped", False),
                restart=ended.get("restart", False),
                stopping=ended.get("stopping", False),
                killed=ended.get("killed", False),
                oom_killed=ended.get("oom", False),
            )
        if started is None:
            return ProcessState(running=False)
        return ProcessState(running=True, pid=known["pid"], started_at=started_at)

    def knows(self, container_id: str) -> bool:
        """Return whether the supervisor has a running process of the container.

        If the container's files were deleted, this call waits up to `RESTORE_SECONDS` until the supervisor has written
        them again. Raises `RuntimeFailure` if no supervisor answers within 20 s.
        """
        self._await_files(self._directory(container_id))
        return self.state(container_id).running

    def _await_files(self, directory: ContainerDirectory) -> None:
        """If the container's files are missing, wait until the supervisor has written them again.

        Starts a supervisor if none runs. The wait ends after `RESTORE_SECONDS`, for example if the supervisor does not
        know the container. Raises `RuntimeFailure` if no supervisor answers within 20 s.
        """
        if directory.exists():
            return
        supervisor_client.connect(self.run).close()
        end = time.monotonic() + RESTORE_SECONDS
        while not directory.exists() and time.monotonic() < end:
            time.sleep(0.01)

    def signal(self, container_id: str, number: int) -> None:
        """Send the signal ``number`` to the container's first process; does nothing if the process has ended."""
        pidfd = self._pidfd(self._directory(container_id))
        if pidfd is None:
            return
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return
        finally:
            os.close(pidfd)

    def request_stop(self, container_id: str, request: StopRequest) -> None:
        """Ask the supervisor to end the container's process; raises `RuntimeFailure`. Does not wait for the end."""
        self._ask({"op": "stop", "id": container_id, "hold": False, **asdict(request)})

    def stop_deadline(self, container_id: str) -> float | None:
        """Return the time at which a `StopRequest` ends the process by SIGKILL, in Unix seconds, or None.

        The result is None without a request, and for a request that never sends SIGKILL.
        """
        document = self._directory(container_id).read("stop")
        deadline: float = document["deadline"] if document else math.inf
        return deadline if deadline < math.inf else None

    @contextmanager
    def stop(self, container_id: str, request: StopRequest, *, hold: bool) -> Iterator[None]:
        """Ask the supervisor to end the container's process, and yield after its end; raises `RuntimeFailure`."""
        connection, answer = self._converse({"op": "stop", "id": container_id, "hold": hold, **asdict(request)})
        with connection:
            if not answer["ended"]:
                self._await_end(connection, container_id, request.seconds)
            yield
            if hold:
                with suppress(OSError):
                    protocol.send(connection, {"op": "settled"})

    def _await_end(self, connection: socket.socket, container_id: str, seconds: float | None) -> None:
        """Wait until the supervisor reports the container's end on ``connection``.

        The supervisor sends SIGKILL after ``seconds`` (None: never). If no report has arrived some seconds later, this
        process itself sends SIGKILL.
        """
        limit = None if seconds is None else seconds + _ANSWER_SECONDS
        if not wait_readable([connection], seconds=limit):
            self.signal(container_id, signal.SIGKILL)
            if not wait_readable([connection], seconds=_DEATH_SECONDS):
                return
        try:
            protocol.receive(connection)
        except (protocol.Broken, OSError):  # the supervisor was killed; the next supervisor continues the stop
            self.wait(container_id, None if limit is None else limit + _DEATH_SECONDS)

    def restart_later(self, container_id: str, delay: float, argv: Sequence[str], env: Mapping[str, str]) -> str:
        """Let the supervisor execute the program ``argv`` for the container after ``delay`` seconds."""
        request = {"op": "schedule", "id": container_id, "delay": delay, "argv": list(argv), "env": dict(env)}
        return str(self._ask(request)["owner"])

    def cancel_restart(self, container_id: str) -> None:
        """Cancel the execution that `restart_later` has scheduled for the container; idempotent."""
        connection = supervisor_client.try_connect(self.run)
        if connection is not None:
            with connection, suppress(OSError):
                protocol.send(connection, {"op": "cancel", "id": container_id})

    def wait(self, container_id: str, timeout: float | None = None) -> int | None:
        """Wait for the end of the container's process, and return its exit code; raises `RuntimeFailure`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._ask_to_wait(container_id) as connection:
                left = None if end is None else max(0.0, end - time.monotonic())
                if not peer.await_answer(connection, left):
                    return None
                try:
                    answer = protocol.receive(connection)
                except (protocol.Broken, OSError):
                    continue  # the supervisor was killed; ask the next supervisor to wait
            if "message" in answer:
                raise RuntimeFailure(answer["kind"], answer["message"])
            code = answer["exit"]
            if code is None:
                ended = self._directory(container_id).read("exit")
                code = ended["code"] if ended else 0
            return int(code)

    def delete(self, container_id: str) -> None:
        """Kill a container's remaining processes and remove its runtime files; idempotent.

        Works without a supervisor. The mounts vanish together with the container's mount namespace. The writable layer
        and the log are kept.
        """
        directory = self._directory(container_id)
        pidfd = self._pidfd(directory)
        if pidfd is not None:
            with self.ending(container_id) as supervised:
                self.signal(container_id, signal.SIGKILL)
                if supervised is not None:  # wait for its report, which it sends after it has written all its files
                    peer.await_answer(supervised, _DEATH_SECONDS)
                wait_readable([pidfd], seconds=_DEATH_SECONDS)
            os.close(pidfd)
        if directory.exists() and not self._has_begun(directory):
            crun.kill_unstarted(directory.path)
        shutil.rmtree(os.path.join(crun_root(directory.run), container_id), ignore_errors=True)
        directory.remove()

    def _has_begun(self, directory: ContainerDirectory) -> bool:
        """Return whether crun has started the container.

        The result is also True for a hostfs container, which does not use crun, and for a container without the file
        ``spec``.
        """
        spec = directory.read("spec")
        return directory.read("started") is not None or spec is None or spec["rootfs"] == "/"

    @contextmanager
    def ending(self, container_id: str) -> Iterator[socket.socket | None]:
        """Let the caller handle the container's end in the ``with`` block, instead of the command ``on_exit``.

        Yields a connection that becomes readable at the container's end, or None if no supervisor has a process of the
        container.
        """
        connection = supervisor_client.try_connect(self.run)
        if connection is None:
            yield None
            return
        with connection:
            try:
                protocol.send(connection, {"op": "hold", "id": container_id})
                held = peer.await_answer(connection, _ANSWER_SECONDS) and bool(protocol.receive(connection).get("ok"))
            except (protocol.Broken, OSError):
                held = False
            yield connection if held else None

    def open_attachment(self, container_id: str, stdio: Stdio, *, stdin: bool, tty: bool) -> SupervisedAttachment:
        """Connect to the container's streams now, but copy no data until `SupervisedAttachment.run`."""
        return SupervisedAttachment(self.open_streams(container_id, stdin=stdin), stdio, stdin=stdin, tty=tty)

    def open_streams(self, container_id: str, *, stdin: bool) -> SupervisedStreams:
        """Connect to the container's streams now, for a caller that copies the data itself."""
        self._directory(container_id)
        connection, _ = self._converse({"op": "attach", "id": container_id, "stdin": stdin})
        connection.settimeout(None)
        return SupervisedStreams(connection)

    def watch_end(self, container_id: str, *, next_run: bool) -> SupervisedEnd:
        """Return an object whose file descriptor becomes readable at the end of the container's run."""
        return SupervisedEnd(self._ask_to_wait(container_id, next_run=next_run), self._directory(container_id))

    def exec(
        self,
        container_id: str,
        request: ExecCreate,
        stdio: Stdio,
        ended: Callable[[int], object] | None = None,
    ) -> int:
        """Run another command in the container's namespaces, and return its exit code; raises `RuntimeFailure`."""
        directory = self._directory(container_id)
        self._await_files(directory)
        pidfd, spec = self._pidfd(directory), directory.read("spec")
        if pidfd is None or spec is None:
            raise RuntimeFailure(OTHER, f"container {container_id} is not running")
        try:
            if spec["rootfs"] == "/":
                return execute_in(directory, pidfd, spec, request, stdio, ended)
            return execute_in_image(directory, spec, request, stdio, ended)
        finally:
            os.close(pidfd)

    def logs(
        self, path: str, options: LogOptions, container_id: str, wait: WaitReadable | None = None
    ) -> Iterator[LogLine]:
        """Yield the lines of a log file. With ``options.follow``, continue until the container's process has ended."""
        return logs.read(path, options, lambda: self._ask_to_wait(container_id), wait or wait_readable)

    def _directory(self, container_id: str) -> ContainerDirectory:
        return ContainerDirectory(os.fspath(self.run), container_id)

    def _pidfd(self, directory: ContainerDirectory) -> int | None:
        """Return a pidfd of the container's process, or None if the process has ended. The caller closes the pidfd."""
        known = directory.read("process")
        return process.open_pidfd(known["pid"], known["start"]) if known else None

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        """Send a request to the supervisor, with the file descriptors ``fds``; return the reply, a JSON object.

        Raises `RuntimeFailure`, also if the supervisor refuses the request.
        """
        connection, answer = self._converse(request, fds)
        connection.close()
        return answer

    def _converse(self, request: dict[str, Any], fds: Sequence[int] = ()) -> tuple[socket.socket, dict[str, Any]]:
        """Send a request with the file descriptors ``fds`` to the supervisor; return the open connection and the reply.

        If the supervisor ends before it replies (because it is idle or was killed), the request is sent to the next
        supervisor. Raises `RuntimeFailure`, also if the supervisor refuses the request.
        """
        for _ in range(_ATTEMPTS):
            connection = supervisor_client.connect(self.run)
            try:
                with suppress(OSError):  # a supervisor that refuses this process may close the connection
                    protocol.send(connection, request, fds)
                if not peer.await_answer(connection, _CREATION_SECONDS):
                    connection.close()
                    raise RuntimeFailure(OTHER, "the supervisor of containers does not answer")
                answer = protocol.receive(connection)
            except (protocol.Broken, OSError):
                connection.close()
                continue
            if answer.get("ok"):
                return connection, answer
            connection.close()
            raise RuntimeFailure(answer["kind"], answer["message"])
        raise RuntimeFailure(OTHER, "the supervisor of containers was killed")

    def _ask_to_wait(self, container_id: str, *, next_run: bool = False) -> socket.socket:
        """Ask the supervisor to report the container's end, and return the connection to the supervisor.

        The connection becomes readable at the container's end. It also becomes readable when the supervisor ends or
        refuses the request. With ``next_run``, a container without a process is reported at the end of its next run.
        """
        connection = supervisor_client.connect(self.run)
        with suppress(OSError):
            protocol.send(connection, {"op": "wait", "id": container_id, "next": next_run})
        return connection

    def keep_supervisor(self) -> None:
        """Start a supervisor if none runs, because only a supervisor handles the output and the end of containers.

        After a supervisor did not answer, the call does nothing, so that a command on many containers stays fast.
        """
        if self._answers:
            with suppress(RuntimeFailure, OSError):
                supervisor_client.revive(self.run)

    def _ask_for_end(self, container_id: str) -> dict[str, Any] | None:
        """Ask the supervisor how and when a process ended; return None if it does not know.

        The result has the same fields as the file ``exit``: the exit code ("code") and the time in Unix seconds ("at").
        The supervisor knows them even if a full disk prevents it from writing the file.
        """
        if not self._answers:
            return None
        try:
            with self._ask_to_wait(container_id) as connection:
                self._answers = peer.await_answer(connection, _RECORD_SECONDS)
                answer = protocol.receive(connection) if self._answers else {}
        except (protocol.Broken, OSError, RuntimeFailure):
            return None
        return {"code": answer["exit"], "at": answer["at"]} if answer.get("at") else None


def prepare(spec: ProcessSpec, hidden: Sequence[Path] = ()) -> dict[str, Any]:
    """Convert ``spec`` to JSON values with absolute paths; create missing bind sources as directories, as Docker does.

    The runtime hides the directories ``hidden`` from a hostfs container.
    """
    document: dict[str, Any] = to_builtins(spec)
    document["rootfs"] = os.path.realpath(spec.rootfs)
    document["hidden"] = [os.path.realpath(path) for path in hidden] if document["rootfs"] == "/" else []
    document["log_path"] = os.path.abspath(spec.log_path) if spec.log_path else ""
    document["files"] = {target: os.path.realpath(source) for target, source in spec.files.items()}
    if spec.netns not in ("", "host"):
        document["netns"] = os.path.abspath(spec.netns)
    for mount in spec.mounts:
        os.makedirs(mount.source, mode=0o755, exist_ok=True) if not os.path.exists(mount.source) else None
    if spec.overlay_dir and spec.rootfs != "/":
        document["rootfs"], document["overlay_dir"] = _layer(document["rootfs"], os.path.realpath(spec.overlay_dir))
    return document


def _layer(rootfs: str, layer: str) -> tuple[str, str]:
    """Return the root directory and the overlay directory of a container with a writable layer.

    ``rootfs`` is the root directory below the layer, and ``layer`` is the layer's directory. If the kernel has
    overlayfs, both are returned unchanged. Otherwise the root is a full copy of ``rootfs`` in ``layer``, and the
    overlay directory is "". Raises `RuntimeFailure` if the copy fails.
    """
    with open("/proc/filesystems", encoding="ascii") as file:
        if any(line.split()[-1] == "overlay" for line in file):
            return rootfs, layer
    copy, unfinished = os.path.join(layer, "copy"), os.path.join(layer, "copying")
    if not os.path.isdir(copy):
        os.makedirs(layer, mode=0o700, exist_ok=True)
        subprocess.run(["rm", "-rf", unfinished], check=True)
        done = subprocess.run(["cp", "-a", "--", rootfs, unfinished], capture_output=True, check=False, text=True)
        if done.returncode:
            raise RuntimeFailure(OTHER, f"no overlayfs in this kernel, and copying {rootfs} failed: {done.stderr}")
        os.rename(unfinished, copy)
    return copy, ""
