"""The supervisor: the resident parent of a host's containers, one small process for all of them.

The first command that needs the supervisor starts it, and it ends some seconds after the last container. If the
supervisor is killed, the containers continue to run. The guard (`engine.runtime.guard`) or the next command starts
another supervisor, which adopts the containers. The supervisor handles only processes and streams.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time

from drivers.linux import process
from engine.eventloop.loop import Loop
from engine.runtime import attributes, cgroup, guarded, peer, resident, syscalls
from engine.runtime.connection import Connection
from engine.runtime.container import Container
from engine.runtime.directory import CONTAINERS, ContainerDirectory
from engine.runtime.errors import OTHER, describe
from engine.runtime.init import silence
from engine.runtime.jobs import Job, Jobs
from engine.runtime.protocol import CONTROL, STDIN
from engine.runtime.reaper import Children
from engine.runtime.run_watch import INTERVAL_SECONDS, RunWatch
from engine.runtime.streams import FULL_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LOCK, SOCKET, IDLE_VARIABLE = "supervisor.lock", "supervisor.sock", "HAWSE_SUPERVISOR_IDLE"
IDLE_SECONDS = 10.0

_REMEMBERED = 1024  # maximum number of ended containers in `Supervisor._endings`
_ADOPTION_RETRY_SECONDS = 2.0
_ACCEPT_PAUSE_SECONDS = 0.5  # time without new connections after file descriptors have run out
_DIRECTORIES = (CONTAINERS, "netns", "crun")


class PendingClient:
    """A client that attached to a container before the supervisor got the request to create the container.

    The client's frames are kept until this request arrives.
    """

    def __init__(self, client: Connection, *, stdin: bool) -> None:
        self.client, self.stdin = client, stdin
        self.frames: list[tuple[int, bytes]] = []
        self._size = 0

    def keep_frame(self, client: Connection, kind: int, payload: bytes) -> None:
        """Keep a frame of ``client`` until the container is created; pause reading from the client if much is kept.

        ``kind`` is the frame's type, and ``payload`` its content.
        """
        self.frames.append((kind, payload))
        self._size += len(payload)
        client.pause(self._size > FULL_BYTES)


class Supervisor:
    """The supervisor's state, and the handlers of its clients' requests."""

    def __init__(self, run: str, listener: socket.socket) -> None:
        self.loop, self._run, self._listener = Loop(catches=False), run, listener
        self._watch = RunWatch(run, _DIRECTORIES)
        self._children = Children(self.loop)
        self._jobs = Jobs(self.loop, self._children, run)
        self._rights = peer.own_rights()
        self._leaving, self._used = False, time.monotonic()
        self._guarded = guarded.Guarded(self.loop, run, guarded.SUPERVISOR)
        self._pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._containers: dict[str, Container] = {}
        self._clients: set[Connection] = set()
        self._pending_clients: dict[str, list[PendingClient]] = {}
        self._waiting: dict[str, list[Connection]] = {}  # clients that wait for the end of a container's next run
        self._endings: dict[str, dict[str, Any]] = {}  # exit codes or errors of the containers that ended most recently
        self._jobs.adopt()
        self._adopt()

    def serve(self, idle: float, residence: resident.Residence) -> None:
        """Serve requests until there has been nothing to do for ``idle`` seconds.

        An idle supervisor ends earlier if a client in another network namespace connects (`_refuse`). If other programs
        delete files in HAWSE_RUN, this method creates them again (`_put_back`). ``residence`` has the lock and the
        socket.
        """
        self.loop.watch(self._listener.fileno(), self._accept)
        while not self._leaving and time.monotonic() < self._used + idle:
            was_needed = self._is_needed()
            self.loop.turn(max(0.0, min(self._used + idle - time.monotonic(), INTERVAL_SECONDS)))
            if was_needed or self._is_needed():
                self._used = time.monotonic()
            if self._watch.has_changed():
                self._put_back(residence)
        self._guarded.close()

    def _is_needed(self) -> bool:
        return bool(self._containers or self._clients or self._jobs)

    def _put_back(self, residence: resident.Residence) -> None:
        """Create the lock, the socket and the files of running containers again if other programs have deleted them.

        If the lock or the socket is missing, a supervisor without containers, clients and jobs ends instead. The next
        command then starts another supervisor. After an error (a full disk), the next check tries again. The socket is
        created last, because a command that can connect must find the files.
        """
        if not (self._is_needed() or residence.is_intact()):
            self._leaving = True
            return
        with contextlib.suppress(OSError):
            present = self._watch.entries()
            for container in list(self._containers.values()):
                container.restore(present)
            if not residence.is_intact() and residence.restore():
                self.loop.close_socket(self._listener)
                self._listener = residence.listener
                self.loop.watch(self._listener.fileno(), self._accept)
            if residence.is_intact():  # otherwise another process holds the lock, and the next check tries again
                self._watch.accept()

    def _adopt(self) -> None:
        try:
            ids = os.listdir(os.path.join(self._run, CONTAINERS))
        except FileNotFoundError:
            return
        for container_id in ids:
            self._adopt_container(container_id)

    def _adopt_container(self, container_id: str) -> None:
        """Adopt a container of an earlier supervisor; after an error, such as too many open files, try again later.

        A container with a damaged file is not adopted. A directory with another name than a container id is ignored.
        """
        if container_id in self._containers:
            return  # a client has created the container again before this attempt
        try:
            directory = ContainerDirectory(self._run, container_id)
            spec = directory.read("spec")
            if spec is not None:
                container = Container(self.loop, self._children, directory, spec, self._ended, self._jobs)
                self._containers[container_id] = container
                if not container.adopt():
                    self._discard(container_id)
                    container.on_exit.handle_recorded_end()
        except (OSError, ValueError, KeyError, TypeError) as error:
            if container_id in self._containers:
                self._discard(container_id)
            if isinstance(error, OSError):
                self.loop.after(_ADOPTION_RETRY_SECONDS, lambda: self._adopt_container(container_id))

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self.loop.rest(self._listener.fileno(), _ACCEPT_PAUSE_SECONDS)
            return
        self._used = time.monotonic()
        objection = peer.objection(connection, self._rights)
        client = Connection(self.loop, connection, self._clients.discard)
        if objection:
            self._refuse(client, objection)
            return
        client.on_frame = self._request
        self._clients.add(client)

    def _refuse(self, client: Connection, objection: str) -> None:
        """Refuse to act for a client: send it the reason ``objection``, and close the connection.

        - A client of another user gets no reply.
        - If the client is in another network namespace, an idle supervisor ends without a reply. The namespace of this
          host (a network namespace with its own HAWSE_ROOT and HAWSE_RUN) may have been deleted and created again. The
          host then needs a supervisor in the new namespace.
        """
        if objection == peer.OTHER_NETWORK and not self._is_needed():
            self._leaving = True
            self.loop.close_socket(self._listener)
        elif objection != peer.OTHER_USER:
            client.reply({"kind": OTHER, "message": f"the supervisor of containers refuses a process that {objection}"})
        client.finish()

    def _request(self, client: Connection, kind: int, payload: bytes) -> None:
        if kind != CONTROL:
            raise ValueError(kind)
        request = json.loads(payload)
        verbs = {
            "create": self._create,
            "prepare": self._start,
            "start": self._start,
            "attach": self._attach,
            "wait": self._wait,
            "hold": self._hold,
            "stop": self._stop,
            "schedule": self._schedule,
            "cancel": self._cancel,
            "guard": self._guard,
        }
        try:
            verbs[request["op"]](client, request)
        except OSError as error:
            client.reply({"kind": OTHER, "message": f"{request['op']} {request['id']}: {describe(error)}"})

    def _create(self, client: Connection, request: dict[str, Any]) -> None:
        container_id = request["id"]
        directory = ContainerDirectory(self._run, container_id)
        spec = directory.read("spec")
        if spec is None or container_id in self._containers or len(client.fds) != 2:
            client.reply({"kind": OTHER, "message": f"container {container_id} is there already"})
            return
        container = Container(self.loop, self._children, directory, spec, self._ended, self._jobs)
        self._containers[container_id] = container
        self._endings.pop(container_id, None)
        try:
            container.create(client, client.fds[0], client.fds[1], self._pid_namespace)
        except OSError:
            container.abandon()
            self._discard(container_id)
            raise
        self._connect_early_clients(container_id, container)

    def _connect_early_clients(self, container_id: str, container: Container) -> None:
        """Connect the clients that came before the supervisor got the request to create the container.

        The caller calls this method only if it has created the container without an error. After an error, these
        clients continue to wait for the container's next run.
        """
        for waiter in self._waiting.pop(container_id, []):
            self._tell_end(waiter, container)
        for pending in self._pending_clients.pop(container_id, []):
            self._connect(pending.client, container, stdin=pending.stdin)
            pending.client.pause(False)
            for frame in pending.frames:
                pending.client.on_frame(pending.client, *frame)

    def _discard(self, container_id: str) -> None:
        self._containers.pop(container_id).streams.close()

    def _start(self, client: Connection, request: dict[str, Any]) -> None:
        container = self._containers.get(request["id"])
        if container is not None:
            (container.prepare if request["op"] == "prepare" else container.start)(client)
            return
        text = f"container {request['id']} has no process to start"
        ending = self._endings.get(request["id"], {})
        client.reply(ending if "kind" in ending else {"kind": OTHER, "message": text})

    def _wait(self, client: Connection, request: dict[str, Any]) -> None:
        """Reply to the client when the container's process has ended.

        If the container has no process, the client gets a reply immediately. With ``next`` in the request, the client
        instead waits for the next start and for the end after it.
        """
        container = self._containers.get(request["id"])
        if container is not None:
            self._tell_end(client, container)
        elif request.get("next"):
            self._await_start(client, request["id"])
        else:
            client.reply({"exit": None, **self._endings.get(request["id"], {})})

    def _await_start(self, client: Connection, container_id: str) -> None:
        waiting = self._waiting.setdefault(container_id, [])
        waiting.append(client)

        def close() -> None:
            waiting.remove(client)
            if not waiting and self._waiting.get(container_id) is waiting:
                del self._waiting[container_id]

        client.on_close = close

    def _hold(self, client: Connection, request: dict[str, Any]) -> None:
        """Report the container's end to the client, and let the client handle it in place of the command ``on_exit``.

        While the client is connected, ``on_exit`` does not run. The first reply says whether the container has a
        process.
        """
        container = self._containers.get(request["id"])
        if container is not None:
            container.on_exit.hold()
            self._tell_end(client, container, container.on_exit.release)
        # Reply last. If the client has ended, the reply closes ``client``, and ``client.on_close`` must be set by then.
        client.reply({"ok": container is not None})

    def _stop(self, client: Connection, request: dict[str, Any]) -> None:
        """Stop a container as `StopOrder` describes, and report its end to the client.

        If the request has ``hold``, the client handles the end, and then sends a frame with any content to confirm
        this. If the client closes the connection instead, the container's command ``on_exit`` runs.
        """
        container = self._containers.get(request["id"])
        if container is None or container.stage != "running":
            client.reply({"ok": True, "ended": True})
            return
        if request["hold"]:
            container.on_exit.hold()
            client.on_frame = lambda *_: container.on_exit.cancel()
        self._tell_end(client, container, container.on_exit.release if request["hold"] else lambda: None)
        container.stop_order.give(request["signal"], request["seconds"], restart=request["restart"])
        client.reply({"ok": True, "ended": False})

    def _schedule(self, client: Connection, request: dict[str, Any]) -> None:
        """Execute a program for a container after a delay.

        The request has the program's ``argv`` and ``env``, the container's ``id``, and the ``delay`` in seconds. A
        program that fails is executed again. The reply's ``owner`` is the identity ("pid:start time") of this
        supervisor, because it has taken over the work from the client.
        """
        job = Job(request["id"], request["argv"], request["env"])
        self._jobs.add(job, durable=True, delay=request["delay"])
        self._jobs.run(job, request["delay"])
        client.reply({"ok": True, "owner": process.identity()})

    def _cancel(self, client: Connection, request: dict[str, Any]) -> None:
        self._jobs.cancel(request["id"])
        client.reply({"ok": True})

    def _tell_end(self, client: Connection, container: Container, on_close: Callable[[], None] = lambda: None) -> None:
        container.waiters.append(client)

        def close() -> None:
            container.waiters.remove(client)
            on_close()

        client.on_close = close

    def _guard(self, client: Connection, _request: dict[str, Any]) -> None:
        """Answer each frame of the guard, and start another guard when the connection closes.

        The guard's connection does not keep the supervisor running.
        """
        guard = client.peer_pid
        self._clients.discard(client)
        self._guarded.joined(guard)
        client.on_frame = lambda *_: client.reply({"ok": True})
        client.on_close = lambda: self._guarded.left(guard)
        client.reply({"ok": True})

    def _attach(self, client: Connection, request: dict[str, Any]) -> None:
        container = self._containers.get(request["id"])
        if container is not None:
            self._connect(client, container, stdin=request["stdin"])
        else:
            self._attach_early(client, request["id"], stdin=request["stdin"])
        client.reply({"ok": True})

    def _attach_early(self, client: Connection, container_id: str, *, stdin: bool) -> None:
        pending, others = PendingClient(client, stdin=stdin), self._pending_clients.setdefault(container_id, [])
        others.append(pending)
        client.on_frame = pending.keep_frame
        client.on_close = lambda: others.remove(pending)

    def _connect(self, client: Connection, container: Container, *, stdin: bool) -> None:
        streams = container.streams
        streams.attach(client)

        def receive(_client: Connection, kind: int, payload: bytes) -> None:
            if kind == STDIN and stdin:
                streams.feed(payload)
            elif kind == CONTROL:
                size = json.loads(payload)
                streams.resize(size["rows"], size["columns"])

        def close() -> None:
            streams.detach(client)
            if stdin and container.stage != "ended":
                streams.feed(b"")

        client.on_frame, client.on_close = receive, close

    def _ended(self, container: Container) -> None:
        del self._containers[container.directory.id]
        self._endings[container.directory.id] = container.failure or container.ending
        if len(self._endings) > _REMEMBERED:
            del self._endings[next(iter(self._endings))]


def main(run: str) -> None:
    """Become the supervisor of the directory ``run``, unless that directory has a running supervisor.

    The supervisor closes its standard output when it has begun to listen, or when it ends. The command that starts the
    supervisor waits for this.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    lock = resident.open_lock(run, LOCK)
    # Claim the address first, so that a second supervisor ends before it takes the lock. If another program has deleted
    # the lock file, the running supervisor must be able to create and lock a new file at any time.
    claimed = resident.claim(run, SOCKET)
    if claimed is None or not resident.try_lock(lock):
        return
    resident.sign(lock)
    syscalls.set_process_name("hawse-supervise")
    cgroup.leave()
    attributes.become_service()
    syscalls.raise_limit()
    syscalls.adopt_orphans()  # become the parent of a container's first process when its own parent ends
    with socket.socket(socket.AF_UNIX) as listener:
        supervisor = Supervisor(run, listener)  # the constructor adopts containers before a client can connect
        resident.listen(listener, run, SOCKET)
        listener.setblocking(False)
        guarded.save(run, guarded.SUPERVISOR)
        silence()
        supervisor.loop.watch(claimed.fileno(), lambda _: resident.close_probe(claimed))
        residence = resident.Residence(run, (LOCK, SOCKET), lock, listener)
        supervisor.serve(resident.idle_seconds(IDLE_VARIABLE, IDLE_SECONDS), residence)
        guarded.forget(run, guarded.SUPERVISOR)
        if residence.is_intact():
            os.unlink(os.path.join(run, SOCKET))


if __name__ == "__main__":
    main(sys.argv[1])
