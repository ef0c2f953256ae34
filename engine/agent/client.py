"""How commands reach the resident agent: start the agent, and notify the agent of changes of the local store.

The lock file, the socket and the log of the agent are in the directory HAWSE_RUN.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from drivers.api import Driver, LinkRepairer, Repairer
from drivers.linux import recording
from engine import PACKAGES
from engine.errors import PermissionDenied
from engine.eventloop.readiness import wait_readable
from engine.host import Host
from engine.model import NetworkRecord
from engine.paths import make_private_directory, open_private
from engine.ports.proxied import held_ports, publishing
from engine.runtime import peer, resident

SOCKET, LOCK, LOG = "agent.sock", "agent.lock", "agent.log"
POLL_INTERVAL_SECONDS = 0.02
NOTIFY_TIMEOUT_SECONDS = 10.0
STATUS_TIMEOUT_SECONDS = 1.0
STARTED = (
    "The agent, a resident process, starts. It adds to the table inet hawse its own sockets (sets relay and "
    "relay_sockets) and the note that the table is complete (chain complete), and makes the table inet hawse_standby."
)
"""The comment that ``--explain`` shows when a command starts the agent: what the agent changes in the kernel."""


def notify(run_dir: Path, root: Path, *, start: bool = True, wait: bool = True) -> bool:
    """Notify the agent of a change of the local store; with ``wait``, wait until the agent's services are up to date.

    If no agent is running and ``start`` is True, the function starts an agent. Blocks up to 10 s.

    Returns False if the agent could not be reached. With ``wait``, also returns False if the agent refused this process
    or was not ready in time. If the result is False, the agent's services learn of the change later. In a dry run, does
    nothing and returns True.
    """
    if recording.is_dry_run():
        return True
    deadline = time.monotonic() + NOTIFY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        answer = ask(run_dir, "changed", deadline - time.monotonic() if wait else 0)
        if answer is not None:
            return answer == "ok" or not wait
        if not start:
            return False
        ensure(run_dir, root, timeout=deadline - time.monotonic())
    return False


def ask(run_dir: Path, line: str, patience: float) -> str | None:
    """Send one line to the agent and return the agent's answer, or one of these values:

    - "late": no answer came within ``patience`` seconds
    - None: no agent listens, or the connection ended without an answer
    - "": ``patience`` is 0 or less, so the function did not wait

    An agent that SIGSTOP has stopped cannot answer. This function kills such an agent during the wait for the answer,
    and the result is None.
    """
    try:
        sock = connect(run_dir, peer.CONNECT_TIMEOUT_SECONDS)
    except OSError:
        return None
    with sock:
        try:
            with suppress(BrokenPipeError):  # the agent refuses this process and does not read the line
                sock.sendall(line.encode() + b"\n")
            if patience <= 0:
                return ""
            if not peer.await_answer(sock, patience):
                return "late"
            with sock.makefile("rb") as file:
                return file.readline().decode().strip() or None
        except TimeoutError:
            return "late"
        except OSError:
            return None


def warnings(run_dir: Path) -> list[str]:
    """Return the agent's warnings about other programs that repeatedly undo its repairs; empty without an agent.

    Blocks up to `STATUS_TIMEOUT_SECONDS` seconds.
    """
    answer = ask(run_dir, "status", STATUS_TIMEOUT_SECONDS)
    try:
        texts: list[str] = json.loads(answer or "{}").get("warnings", [])
    except ValueError:
        return []  # no answer in time, or a refusal in place of JSON
    return texts


def sockets(run_dir: Path) -> set[int]:
    """Return the inode numbers of the agent's sockets; empty without an agent."""
    directory = f"/proc/{resident.holder(str(run_dir), LOCK)}/fd"
    inodes = set()
    with suppress(FileNotFoundError):
        for number in os.listdir(directory):
            with suppress(FileNotFoundError):
                kind, _, inode = os.readlink(f"{directory}/{number}").partition(":")
                if kind == "socket":
                    inodes.add(int(inode.strip("[]")))
    return inodes


def ensure(run_dir: Path, root: Path, *, timeout: float = 10.0) -> bool:
    """Start the agent unless an agent already listens on the agent's socket; return True as soon as an agent listens.

    Returns False if no agent listens within ``timeout`` seconds.
    """
    deadline, stopped = time.monotonic() + timeout, 0
    make_private_directory(run_dir)
    while True:
        try:
            connect(run_dir, 1.0).close()
            return True
        except OSError:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            if not _start_and_wait(run_dir, root, remaining):
                stopped = resident.kill_stopped_holder(str(run_dir), LOCK, stopped)
                time.sleep(POLL_INTERVAL_SECONDS)  # wait: another agent is starting or ending


def connect(run_dir: Path, timeout: float) -> socket.socket:
    """Connect to the agent; ``timeout`` is in seconds, and also holds for each later wait on the connection.

    Raises OSError if no agent listens, or if the listening process belongs to another user.
    """
    return peer.connect(str(run_dir), SOCKET, timeout)


def take_lock(run_dir: Path) -> int | None:
    """Lock the agent's lock file; return its file descriptor, or None if another agent holds the lock.

    The lock is held until the descriptor is closed, at the latest at the end of the process.
    """
    try:
        fd = open_private(run_dir / LOCK, os.O_RDWR | os.O_CREAT)
    except (OSError, PermissionDenied):
        resident.move_foreign_file(str(run_dir), LOCK, stat.S_ISREG)
        fd = open_private(run_dir / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def keep_agent(host: Host, driver: Driver) -> None:
    """Start the agent if the driver's networks have kernel state that the agent repairs; idempotent.

    Returns immediately. If the agent cannot be started now, the next command tries to start it.
    """
    if isinstance(driver, (Repairer, LinkRepairer)):
        with suppress(OSError):
            launch(host.run, host.root)


def launch(run_dir: Path, root: Path) -> None:
    """Start the agent unless one is running; return immediately, even if the agent does not listen yet.

    In a dry run, does nothing.
    """
    if recording.is_dry_run():
        return
    make_private_directory(run_dir)
    _start(run_dir, root, -1)


def _start_and_wait(run_dir: Path, root: Path, timeout: float) -> bool:
    """Start an agent and wait up to ``timeout`` seconds for the agent to listen; return whether the agent listens.

    The agent writes to a pipe when it listens.
    """
    ready, ready_fd = os.pipe()
    try:
        started = _start(run_dir, root, ready_fd)
        os.close(ready_fd)
        ready_fd = -1
        readable = wait_readable([ready], seconds=timeout if started else 0)
        return bool(readable) and os.read(ready, 1) == b"!"
    finally:
        os.close(ready)
        if ready_fd >= 0:
            os.close(ready_fd)


def _start(run_dir: Path, root: Path, ready_fd: int) -> bool:
    """Start an agent that outlives this process; return False if another agent runs or is starting.

    ``ready_fd`` is the file descriptor to which the agent writes a byte when it listens, or -1 for none. The agent
    inherits the agent lock. Therefore, if several commands run together, only one of them starts an agent.
    """
    lock = take_lock(run_dir)
    if lock is None:
        return False
    try:
        child = os.fork()
        if child == 0:
            _become_agent(run_dir, root, ready_fd, lock)
        os.waitpid(child, 0)
        recording.comment(STARTED)
        return True
    finally:
        os.close(lock)


def _become_agent(run_dir: Path, root: Path, ready_fd: int, lock: int) -> None:
    """Detach the forked child from the caller's session and file descriptors, then execute the agent; never returns.

    The agent inherits two file descriptors: ``ready_fd`` (see `_start`), and ``lock``, the locked lock file.
    """
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        log = null
        with suppress(OSError, PermissionDenied):  # if hawse does not own the log's path, the agent writes no log
            log = open_private(os.path.join(run_dir, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK)
        _arrange((null, log, log, ready_fd if ready_fd >= 0 else null, lock))
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        with suppress(AttributeError):
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
        resident.sign(lock)  # so that other processes find this process even if it is stopped before it listens
        argv = [sys.executable, "-P", "-m", "engine.agentd"]
        os.execve(sys.executable, argv, environment(run_dir, root, os.environ))
    finally:
        os._exit(127)


def _arrange(descriptors: Sequence[int]) -> None:
    """Renumber the file descriptors in ``descriptors`` to 0, 1, 2 and so on, in order, and close all others.

    The renumbered descriptors are inheritable.
    """
    apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, len(descriptors)) for descriptor in descriptors]
    for number, descriptor in enumerate(apart):
        os.dup2(descriptor, number)
    os.closerange(len(descriptors), 65536)


def environment(run_dir: Path, root: Path, caller: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's environment variables: those of ``caller``, with the values that the agent needs.

    These are HAWSE_ROOT, HAWSE_RUN, the numbers of the inherited file descriptors, and the path of hawse's Python
    packages.
    """
    return {
        **caller,
        "HAWSE_ROOT": str(root),
        "HAWSE_RUN": str(run_dir),
        "HAWSE_AGENT_READY": "3",
        "HAWSE_AGENT_LOCK": "4",
        "PYTHONPATH": PACKAGES,
    }


def announce(host: Host, joined: Sequence[NetworkRecord] = ()) -> None:
    """Notify the agent that the local store has changed; wait for the agent's services if the command needs them.

    ``joined`` has the networks that a container has just joined; it is empty after any other change. The command needs
    the agent in two cases:

    - one of these networks has DNS names (all networks except the predefined ones)
    - a published port of any container needs the agent

    In these cases, the function starts the agent if none runs, and waits. In all other cases, the function starts no
    agent, and waits for a running agent only if ``joined`` is empty.
    """
    start = any(not network.predefined for network in joined) or _publishes(host)
    notify(host.run, host.root, start=start, wait=start or not joined)


def _publishes(host: Host) -> bool:
    networks: dict[str, NetworkRecord | None] = {}
    with host.store.read() as reader:
        for endpoint in reader.publishing_endpoints():
            if endpoint.network_id not in networks:
                networks[endpoint.network_id] = reader.network(endpoint.network_id)
            network = networks[endpoint.network_id]
            joined = publishing([network] if network else [], [endpoint])
            if any(held_ports(*pair) for pair in joined):
                return True
    return False
