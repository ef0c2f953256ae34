"""What the engine asks of the runtime, and the values it hands over.

The runtime knows processes, mount trees, terminals and logs; it knows nothing of networks beyond "which network
namespace". A container is made in two steps, so that its network can be plumbed in between: ``create`` makes the
namespaces and a process that waits in them, ``start`` lets that process execute the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from engine.model import ExecCreate, LogOptions, Mount

LEFT = -1
"""Instead of an exit code: the user has typed ctrl-p ctrl-q, and the command goes on."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """The caller's file descriptors for standard input, output and error."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A container's process, complete and JSON-serialisable.

    ``rootfs`` is "/" for hostfs (the caller's own mount tree, copied privately), else a directory. ``overlay_dir`` is
    where a writable layer over ``rootfs`` is kept, "" to use the directory itself. ``files`` maps a path in the
    container to the file on the host that is bind-mounted over it (/etc/hosts, /etc/resolv.conf, /etc/hostname).
    ``netns`` is "" for a namespace of its own, "host" for the caller's, else a path to join. ``env`` is complete
    ("K=V"). ``seccomp`` is "" for Docker's profile, "unconfined", or a profile as JSON; with ``system_paths`` no path
    of the kernel is hidden. ``init_path`` is the host's program that is to be the first process, "" for the command
    itself. ``on_exit`` is the argument vector run (detached, in the host's namespaces) after the process has ended.
    """

    id: str
    argv: Sequence[str]
    env: Sequence[str]
    cwd: str = "/"
    user: str = ""
    hostname: str = ""
    domainname: str = ""
    rootfs: str = "/"
    overlay_dir: str = ""
    read_only: bool = False
    mounts: Sequence[Mount] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    netns: str = ""
    pid_host: bool = False
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    cap_add: Sequence[str] = ()
    cap_drop: Sequence[str] = ()
    privileged: bool = False
    seccomp: str = ""
    no_new_privileges: bool = False
    system_paths: bool = False
    init_path: str = ""
    log_path: str = ""
    log_max_size: int = 0  # bytes of a file of the log, 0 for no bound
    log_max_files: int = 1
    log_compress: bool = False
    on_exit: Sequence[str] = ()
    on_exit_env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Created:
    """A process that waits in its namespaces. ``netns`` is a path that opens its network namespace.

    What `Runtime.create` tells of may be there for the namespace alone; the one that will execute is the one that
    `Runtime.prepared` tells of.
    """

    pid: int
    pid_start: int
    netns: str


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What is known of a container's process now. Times are Unix seconds, 0 where it has not happened."""

    running: bool
    pid: int = 0
    exit_code: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry of a container's log: which stream ("stdout"/"stderr"), when (RFC 3339 with nanoseconds), what."""

    stream: str
    time: str
    data: bytes


class RuntimeFailure(Exception):
    """The process could not be made or executed. ``kind`` is not-found, permission, bad-user, bad-cwd or other."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Runtime(Protocol):
    """The runtime of one host."""

    def create(self, spec: ProcessSpec) -> Created:
        """Make the namespaces and the waiting process; raises `RuntimeFailure`, leaving nothing behind."""

    def prepared(self, container_id: str) -> Created:
        """Wait until all but the network is there; the process that will execute. Raises `RuntimeFailure`."""

    def start(self, container_id: str) -> None:
        """Let the waiting process execute; raises `RuntimeFailure` when the command cannot be executed."""

    def state(self, container_id: str) -> ProcessState:
        """Tell what is known; a container never started, or deleted, is not running with exit code 0."""

    def signal(self, container_id: str, number: int) -> None:
        """Send a signal to the container's first process; silently does nothing when it has ended."""

    def wait(self, container_id: str, timeout: float | None = None) -> int | None:
        """Wait for the end; the exit code (128+N for signal N), or None after ``timeout`` seconds."""

    def delete(self, container_id: str) -> None:
        """Kill what is left and remove mounts, pipes and the runtime's files (not the log); idempotent."""

    def ending(self, container_id: str) -> AbstractContextManager[object]:
        """Be the one who settles the end in this block: ``on_exit`` runs only if the container isn't deleted in it."""

    def overdue(self) -> list[str]:
        """The ids of containers that ended some seconds ago and were not deleted: nobody has settled their end."""

    def open_attachment(self, container_id: str, stdio: Stdio, *, stdin: bool, tty: bool) -> Attachment:
        """Connect to the container's streams now; the copying begins with `Attachment.run`."""

    def exec(self, container_id: str, request: ExecCreate, stdio: Stdio) -> int:
        """Run another command in the container's namespaces; the exit code, or LEFT. Raises `RuntimeFailure`."""

    def logs(self, path: str, options: LogOptions, container_id: str) -> Iterator[LogLine]:
        """Read a log file; with ``follow``, go on until the container's process has ended."""


class Attachment(Protocol):
    """An open connection to a container's streams.

    After `run`, ``exit_code`` is the container's if its end was seen, and ``detached`` tells that the user let go.
    """

    exit_code: int | None
    detached: bool

    def run(self) -> None:
        """Copy until the container's process has ended, its output is closed, or the user detaches."""

    def close(self) -> None:
        """Let go without waiting; idempotent."""
