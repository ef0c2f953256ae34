"""The interface between the engine and the runtime, and the values that both exchange.

The runtime handles processes, mount trees, terminals and logs. It creates or joins network namespaces, but does not
configure networks; other modules do this. A container is created in two steps, so that its network can be configured
between the two steps. ``create`` makes the namespaces and a process that waits in these namespaces. ``start`` lets that
process execute the command. The supervisor is the resident process that is the parent of all container processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct, field

from engine.errors import EngineError
from engine.model import ExecCreate, LogOptions, Mount

LEFT = -1
"""The value that functions return instead of an exit code if the user detached with ctrl-p ctrl-q.

The command in the container continues to run.
"""


class Stdio(Struct, frozen=True):
    """The file descriptors of the caller's standard input, output and error."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


class ProcessSpec(Struct, frozen=True):
    """The complete description of a container's process. The description can be converted to JSON.

    - ``rootfs`` is "/" for hostfs (a container on a private copy of the caller's own mount tree), else a directory.
    - ``overlay_dir`` is the directory of a writable layer over ``rootfs``, or "" to write to ``rootfs`` itself.
    - ``files`` maps a path in the container to the file on the host that is bind-mounted over it (/etc/hosts,
      /etc/resolv.conf, /etc/hostname).
    - ``netns`` is "" for a new network namespace, "host" for the caller's, else the path of the namespace to join.
    - ``netns_inode`` is the inode that the namespace to join must have, or 0 for any.
    - ``env`` is the complete environment ("K=V").
    - ``stdin_once`` closes standard input when the input of the first client ends.
    - ``seccomp`` is "" for Docker's profile, "unconfined", or a profile as JSON.
    - ``system_paths`` is True if the kernel paths that Docker hides (in /proc and /sys) stay visible.
    - ``init_path`` is a program on the host that runs as the first process, or "" if the command itself is first.
    - ``log_path`` is the log file on the host, or "" for no log. ``log_max_size`` is in bytes; 0 means no limit.
    - ``sandbox`` is the path of the symbolic link to the process's network namespace, or "" without such a link.
    - ``on_exit`` is a command with arguments. The supervisor runs it (detached) on the host after the container's end.
    - ``on_exit_env`` has variables for ``on_exit``. They are added to the supervisor's environment.
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
    netns_inode: int = 0
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
    log_max_size: int = 0
    log_max_files: int = 1
    log_compress: bool = False
    sandbox: str = ""
    on_exit: Sequence[str] = ()
    on_exit_env: Mapping[str, str] = field(default_factory=dict)


class CreatedProcess(Struct, frozen=True):
    """A process that `Runtime.create` or `Runtime.prepared` returns; it is in the container's network namespace.

    - `Runtime.prepared` returns the process that will execute the container's command.
    - For hostfs, `Runtime.create` returns this process too.
    - For a container of an image or a directory, `Runtime.create` returns the process that creates the container. This
      process is in no other namespace of the container.

    ``pid_start`` is the start time of the process in clock ticks since boot. ``netns`` is a path that opens the
    process's network namespace.
    """

    pid: int
    pid_start: int
    netns: str


class ProcessState(Struct, frozen=True):
    """The current state of a container's process.

    - ``started_at`` and ``finished_at`` are in Unix seconds, and 0 before the process has started or finished.
    - ``stopped`` is true if the process ended after a `StopRequest`.
    - ``restart`` is true if the container must be started again (`StopRequest.restart`).
    - ``stopping`` is true if a request came from ``stop`` or ``restart``, and not from ``kill``.
    - ``killed`` is true if SIGKILL was sent after `StopRequest.seconds`.
    - ``oom_killed`` is true if the kernel killed the process because memory ran out.
    """

    running: bool
    pid: int = 0
    exit_code: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    stopped: bool = False
    restart: bool = False
    stopping: bool = False
    killed: bool = False
    oom_killed: bool = False


class StopRequest(Struct, frozen=True):
    """A user's request to end a container's process.

    ``signal`` is the number of the signal that is sent first, or 0 for none. SIGKILL is sent after ``seconds``, or
    never if ``seconds`` is None. ``restart`` is true if the container is started again after its end; None keeps the
    value of an earlier request.
    """

    signal: int
    seconds: float | None = None
    restart: bool | None = None


class LogLine(Struct, frozen=True):
    """One entry of a container's log.

    The entry has the stream ("stdout" or "stderr"), the time (RFC 3339 with nanoseconds) and the data. The data ends
    with a newline if it is the end of a line.
    """

    stream: str
    time: str
    data: bytes


class RuntimeFailure(EngineError):
    """Raised if a container's process cannot be created, or cannot execute its command.

    Also raised if no supervisor answers, or if the supervisor refuses a request. ``kind`` is the reason: not-found,
    permission, bad-user, bad-cwd or other.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Runtime(Protocol):
    """The interface of the runtime, the part of hawse that runs the container processes of one host."""

    def create(self, spec: ProcessSpec) -> CreatedProcess:
        """Create a container's namespaces, and a process that waits for `start`.

        The caller configures the network before it calls `start`. After a failure, everything that was created is
        removed, and `RuntimeFailure` is raised.
        """

    def prepared(self, container_id: str) -> CreatedProcess:
        """Wait until the container is ready for `start`, except for its network.

        Returns the process that will execute the command. Raises `RuntimeFailure` if the creation has failed.
        """

    def start(self, container_id: str) -> None:
        """Let the waiting process execute the container's command; raises `RuntimeFailure` if the execution fails."""

    def state(self, container_id: str) -> ProcessState:
        """Return the state of the container's process.

        A container that was never started, or was deleted, is not running and has exit code 0.
        """

    def knows(self, container_id: str) -> bool:
        """Return whether the container has a running process, even if its files in HAWSE_RUN were deleted."""

    def signal(self, container_id: str, number: int) -> None:
        """Send the signal ``number`` to the container's first process; does nothing if the process has ended."""

    def request_stop(self, container_id: str, request: StopRequest) -> None:
        """Ask the supervisor to end the container's process; raises `RuntimeFailure`. Does not wait for the end."""

    def stop(self, container_id: str, request: StopRequest, *, hold: bool) -> AbstractContextManager[None]:
        """Ask the supervisor to end the container's process; the ``with`` block runs after the process has ended.

        The supervisor ends the process even if the caller is killed.

        - Without ``hold``, the supervisor then runs the container's command ``on_exit`` (`ProcessSpec`), which releases
          what the container used.
        - With ``hold``, the caller releases it in the block. The supervisor runs ``on_exit`` only if the caller is
          killed or raises an error in the block.
        """

    def stop_deadline(self, container_id: str) -> float | None:
        """Return the time at which a `StopRequest` ends the process by SIGKILL, in Unix seconds, or None.

        The result is None without a request, and for a request that never sends SIGKILL.
        """

    def restart_later(self, container_id: str, delay: float, argv: Sequence[str], env: Mapping[str, str]) -> str:
        """Let the supervisor execute the program ``argv`` for the container after ``delay`` seconds.

        The variables ``env`` are added to the supervisor's environment. If the program fails, the supervisor executes
        it again. Returns the supervisor's identity (`process.identity`), a text with its pid and start time. Raises
        `RuntimeFailure`.
        """

    def cancel_restart(self, container_id: str) -> None:
        """Cancel the execution that `restart_later` has scheduled for the container; idempotent.

        A program that already runs continues. Does nothing if no supervisor runs.
        """

    def keep_supervisor(self) -> None:
        """Start a supervisor if none runs; never raises.

        Does nothing if the supervisor did not answer an earlier request of this object in time.
        """

    def wait(self, container_id: str, timeout: float | None = None) -> int | None:
        """Wait for the end of the container's process, and return its exit code (128+N after signal N).

        Returns None if the process still runs after ``timeout`` seconds. Returns 0 if the container has had no process.
        Raises `RuntimeFailure`.
        """

    def delete(self, container_id: str) -> None:
        """Kill a container's remaining processes and remove its mounts, pipes and runtime files; idempotent.

        The log is not removed.
        """

    def ending(self, container_id: str) -> AbstractContextManager[object]:
        """Return a context manager: in its block, the caller handles the container's end instead of ``on_exit``.

        Outside such a block, the supervisor runs the command ``on_exit`` (`ProcessSpec`) after the container's end. In
        the block, the caller must release what the container used, and then call `delete`. If the caller leaves the
        block or is killed before it calls `delete`, the supervisor still runs ``on_exit`` after the container's end.
        """

    def open_attachment(self, container_id: str, stdio: Stdio, *, stdin: bool, tty: bool) -> Attachment:
        """Connect to the container's streams now, but copy no data until the caller calls `Attachment.run`.

        With ``stdin``, `run` also copies standard input. ``tty`` says whether the container has a terminal.
        """

    def open_streams(self, container_id: str, *, stdin: bool) -> ContainerStreams:
        """Connect to the container's streams now, for a caller that copies the data itself.

        With ``stdin``, the caller may also send input.
        """

    def watch_end(self, container_id: str, *, next_run: bool) -> EndWatch:
        """Return an object with a file descriptor that becomes readable at the end of the container's run.

        If the container has no process, the file descriptor is readable immediately. With ``next_run``, a container
        without a process is watched until the end of its next run.
        """

    def exec(
        self,
        container_id: str,
        request: ExecCreate,
        stdio: Stdio,
        ended: Callable[[int], object] | None = None,
    ) -> int:
        """Run another command in the container's namespaces, and return its exit code.

        Returns `LEFT` (-1) if the user detaches. Another process then calls ``ended`` with the exit code at the end of
        the command. Returns 0 immediately if the request is to run detached. Raises `RuntimeFailure`.
        """

    def logs(
        self, path: str, options: LogOptions, container_id: str, wait: WaitReadable | None = None
    ) -> Iterator[LogLine]:
        """Yield the lines of a log file. With ``options.follow``, continue until the container's process has ended.

        ``path`` is the path of the log file. The function ``wait`` waits until the log may have new lines, or until the
        container has ended. It may raise an error to end the iteration. If ``wait`` is None, a standard function waits
        without a time limit.
        """


WaitReadable = Callable[[Sequence[int]], Sequence[int]]
"""A function that waits until at least one of the descriptors is readable, and returns the readable descriptors."""


class Attachment(Protocol):
    """An open connection to a container's streams.

    ``detached`` is True if the user detached. `run` calls ``tell`` with the name and the attributes of an event:

    - "resize" with "height" and "width" in characters, when the size of the user's terminal changes
    - "detach" without attributes, when the user detaches
    """

    tell: Callable[[str, Mapping[str, str]], None]
    detached: bool

    @property
    def exit_code(self) -> int | None:
        """The container's exit code if the container ended during `run`, else None."""

    def run(self) -> None:
        """Copy the streams until the container's process has ended, the supervisor was killed, or the user detaches."""

    def close(self) -> None:
        """Close the connection to the container's streams without waiting; idempotent."""


class ContainerStreams(Protocol):
    """An open connection to a container's streams, for a caller that copies the data itself. Sending never blocks.

    ``exit_code`` is the container's exit code, or None before its end. ``is_open`` is False after the container's end,
    and after a kill of the supervisor.
    """

    exit_code: int | None
    is_open: bool

    @property
    def has_unsent(self) -> bool:
        """Whether some input has not been sent yet. If so, the caller calls `flush` when `fileno` is writable."""

    def fileno(self) -> int:
        """Return the file descriptor that is readable when output has arrived or the connection has ended."""

    def receive(self) -> Sequence[tuple[str, bytes]]:
        """Return the output that has arrived, with its stream ("stdout" or "stderr"); blocks until output arrives.

        At the end of the connection, the result is empty, and ``is_open`` becomes False.
        """

    def send_input(self, data: bytes) -> bool:
        """Send ``data`` to the container's standard input; return False if the connection has ended.

        With b"", the container's standard input is closed if the container has the option stdin_once and no terminal.
        """

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the container's terminal."""

    def flush(self) -> bool:
        """Send input that has not been sent yet (`has_unsent`); return False if the connection has ended."""

    def close(self) -> None:
        """Close the connection without waiting; idempotent."""


class EndWatch(Protocol):
    """Waits for the end of a container's run. When `fileno` is readable, `exit_code` does not block."""

    def fileno(self) -> int:
        """Return the file descriptor that is readable when the run has ended or the supervisor was killed."""

    def exit_code(self) -> int | None:
        """Return the exit code of the ended run.

        None means that the supervisor was killed. The caller must then watch again.
        """

    def close(self) -> None:
        """Stop waiting; idempotent."""
