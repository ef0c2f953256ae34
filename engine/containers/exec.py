"""Access a container: attach to its streams, read its log, run additional commands in it, and wait for its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from drivers.errors import Missing
from drivers.linux import netns
from engine import names
from engine.agent import client
from engine.containers import detached_exec, lookup, namespace_files
from engine.containers.finalize import finalize_exit
from engine.containers.on_exit import finish_overdue_exit
from engine.containers.process_spec import has_default_terminal_type, log_bounds, log_path
from engine.errors import Conflict, EngineError, InvalidArgument, KernelFailure, NotFound, StartFailure
from engine.events import record as events
from engine.host import Host
from engine.model import ContainerRecord, ExecCreate, LogOptions
from engine.runtime.api import (
    LEFT,
    Attachment,
    ContainerStreams,
    EndWatch,
    LogLine,
    RuntimeFailure,
    Stdio,
    WaitReadable,
)
from engine.runtime.errors import EXEC, NOT_FOUND, OTHER
from engine.store.api import Transaction
from engine.store.locks import locked

WITH_NAMES = 'mount --bind "$0" /etc/resolv.conf 2>/dev/null; exec "$@"'
"""The shell script that runs a command with another resolv.conf, whose path is the first argument."""

POLL_INTERVAL_SECONDS = 0.02
"""Seconds between two checks whether a container has been removed. hawse polls, because the kernel has no file
descriptor that reports a removal.
"""

REMOVAL_TIMEOUT_SECONDS = 5.0
"""Seconds that a waiting command allows for the removal of a container with --rm. The supervisor normally starts a
hawse process that removes the container. After this time, the waiting command removes the container itself.
"""


def running(host: Host, reference: str) -> ContainerRecord:
    """Return the record of a running container; raises Conflict if the container is not running."""
    record = lookup.with_actual_state(host, lookup.resolve(host, reference))
    lookup.check_not_restarting(record)
    if record.status != "running":
        raise Conflict(f"container {record.id} is not running")
    return record


def execute(host: Host, reference: str, request: ExecCreate, stdio: Stdio) -> int:
    """Run another command in a running container and return its exit code.

    Returns 0 immediately for a detached command, and `LEFT` (-1) if the user detaches from the command.
    ``request.exec_id`` is "", or the id for which `announce` has already added the event "exec_create". Raises Conflict
    if the container is not running, and `StartFailure` with exit code 126 if the command cannot be executed. Raises
    KernelFailure for any other failure of the runtime.
    """
    record = running(host, reference)
    exec_id = request.exec_id or names.generate_id()

    def ended(code: int) -> None:
        _add_events(host, record, exec_id, "exec_die", exitCode=str(code))

    run = _runner(host, record, request, stdio, ended)
    if request.privileged and record.kind != "adopted":
        _admit_firewall_rules(host, record)
    created = () if request.exec_id else (f"exec_create: {_words(request)}",)
    _add_events(host, record, exec_id, *created, f"exec_start: {_words(request)}")
    try:
        if request.detach:
            detached_exec.run(run, ended)
            return 0
        code = run()
    except RuntimeFailure as error:
        if error.kind == OTHER:
            raise KernelFailure(str(error)) from error
        raise StartFailure(str(error), 126) from error
    if code == LEFT:
        _add_events(host, record, exec_id, "exec_detach")
    else:
        ended(code)
    return code


def _admit_firewall_rules(host: Host, record: ContainerRecord) -> None:
    """Record that a privileged command may make firewall rules in the container's sandbox, and tell the agent.

    Call this function before the command runs. The agent then answers the DNS queries of the sandbox in a separate
    thread (`SandboxView.apart`).
    """
    with locked(host.run, "container", record.id), host.store.write() as tx:
        present = lookup.find(tx, record.id)
        if present.administered:
            return
        tx.put_container(replace(present, administered=True))
    client.announce(host)


def announce(host: Host, reference: str, request: ExecCreate) -> None:
    """Add the event "exec_create" for the command ``request.exec_id``, which `execute` will run later.

    Raises Conflict if the container is not running.
    """
    _add_events(host, running(host, reference), request.exec_id, f"exec_create: {_words(request)}")


def _words(request: ExecCreate) -> str:
    return f"{request.cmd[0]} {' '.join(request.cmd[1:])}"


def _runner(
    host: Host, record: ContainerRecord, request: ExecCreate, stdio: Stdio, ended: Callable[[int], object]
) -> Callable[[], int]:
    """Return a function that runs the command and returns its exit code, or 0 at once for a detached command.

    If the user detaches from the command, another process calls ``ended`` with the exit code after the command's end.
    In all other cases, ``ended`` is not called. In an adopted namespace, the command runs as the calling user. Raises
    InvalidArgument if the request names a user for such a namespace.
    """
    if record.kind == "adopted":
        if request.user:
            text = "is a network namespace that hawse did not start: --user is not supported"
            raise InvalidArgument(f"{record.name} {text}")
        return partial(_execute_in_namespace, host, record, request, stdio)
    lookup.keep_supervisor(host, [record])
    # The command does not get the container's default TERM. The entry "TERM" without "=" removes this variable.
    if has_default_terminal_type(record):
        request = replace(request, env=["TERM", *request.env])
    can_leave = request.tty and not request.detach and request.detach_keys
    return partial(host.runtime.exec, record.id, request, stdio, ended if can_leave else None)


def _add_events(host: Host, record: ContainerRecord, exec_id: str, *actions: str, **attributes: str) -> None:
    def add(tx: Transaction) -> None:
        for action in actions:
            events.container(tx, record, action, {"execID": exec_id, **attributes})

    events.alone(host.store, add)


def _execute_in_namespace(host: Host, record: ContainerRecord, request: ExecCreate, stdio: Stdio) -> int:
    """Run a command of the host in an adopted namespace, and return its exit code.

    The command runs in a new mount namespace, in which hawse's resolv.conf for the network namespace is mounted on
    /etc/resolv.conf. For a namespace of `ip netns`, `ip netns exec` mounts the files in /etc/netns/NAME instead.
    Returns 0 immediately for a detached command. Raises RuntimeFailure if the command does not exist.

    Except for a namespace of `ip netns`, also raises RuntimeFailure if the path now leads to another namespace. The
    owner of the path can change this at any time.
    """
    environment = {**os.environ, **dict(variable.split("=", 1) for variable in request.env if "=" in variable)}
    if shutil.which(request.cmd[0], path=environment.get("PATH")) is None:
        text = f'exec: "{request.cmd[0]}": executable file not found in $PATH: unknown'
        raise RuntimeFailure(NOT_FOUND, f"{EXEC}unable to start container process: {text}")
    directory, name = os.path.split(record.sandbox_path)
    try:
        if directory == str(namespace_files.NETNS_DIRECTORY):
            process = _started(["ip", "netns", "exec", name], request, stdio, environment)
        else:
            mounting = ["unshare", "--mount", "--propagation", "slave", "--", "/bin/sh", "-c", WITH_NAMES]
            entering = [*mounting, str(namespace_files.path(host, record))]
            start = partial(_started, entering, request, stdio, environment)
            process = netns.run_in_netns(record.sandbox_path, start, record.sandbox_inode)
    except ValueError:  # an argument or a variable contains a NUL character
        raise RuntimeFailure(OTHER, f"{EXEC}unable to start container process: invalid argument: unknown") from None
    except Missing as error:
        raise RuntimeFailure(OTHER, f"{EXEC}unable to start container process: {error}: unknown") from None
    if request.detach:
        process.returncode = 0  # so that Python does not reap the process: `detached_exec` needs its exit code
        return 0
    code = process.wait()
    return code if code >= 0 else 128 - code


def _started(
    entering: list[str], request: ExecCreate, stdio: Stdio, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start the command of ``request`` by means of the command ``entering``, and return the new process.

    ``entering`` is a program with arguments. It enters the command's namespaces and then executes the command. The
    process starts in the calling thread's network namespace.
    """
    return subprocess.Popen(
        [*entering, *request.cmd],
        stdin=stdio.stdin if request.attach_stdin and not request.detach else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if request.detach else stdio.stdout,
        stderr=subprocess.DEVNULL if request.detach else stdio.stderr,
        cwd=request.working_dir or None,
        env=environment,
        start_new_session=request.detach,
    )


def open_attachment(host: Host, reference: str, stdio: Stdio, *, stdin: bool) -> Attachment:
    """Connect to the standard streams of a container that is running or will be started.

    ``stdio`` are the caller's own streams. The container's standard input is connected only with ``stdin``.
    """
    record = lookup.resolve_own(host, reference)
    attachment = host.runtime.open_attachment(record.id, stdio, stdin=stdin, tty=record.config.tty)

    def tell(action: str, attributes: Mapping[str, str]) -> None:
        events.alone(host.store, lambda tx: events.container(tx, record, action, attributes))

    tell("attach", {})
    attachment.tell = tell
    return attachment


def open_streams(host: Host, reference: str, *, stdin: bool) -> ContainerStreams:
    """Connect to the standard streams of a container, for a caller that copies the data itself.

    The container's standard input is connected only with ``stdin``. Raises Conflict if the container waits for a
    restart.
    """
    record = lookup.with_actual_state(host, lookup.resolve_own(host, reference))
    lookup.check_not_restarting(record)
    streams = host.runtime.open_streams(record.id, stdin=stdin)
    events.alone(host.store, lambda tx: events.container(tx, record, "attach"))
    return streams


def resize(host: Host, reference: str, rows: int, columns: int) -> None:
    """Set the size of a running container's terminal, in characters; raises Conflict if it is not running."""
    record = running(host, reference)
    streams = host.runtime.open_streams(record.id, stdin=False)
    streams.resize(rows, columns)
    streams.close()
    size = {"height": str(rows), "width": str(columns)}
    events.alone(host.store, lambda tx: events.container(tx, record, "resize", size))


def watch_end(host: Host, reference: str, *, next_run: bool) -> EndWatch:
    """Return an object with a file descriptor that becomes readable when the container's present run ends."""
    return host.runtime.watch_end(lookup.resolve_own(host, reference).id, next_run=next_run)


def logs(
    host: Host, reference: str, options: LogOptions, wait_readable: WaitReadable | None = None
) -> Iterator[LogLine]:
    """Return the lines of the container's log file that ``options`` select.

    If the options say to follow the log, ``wait_readable`` is called to wait for new lines, and may raise an error to
    end the iteration. If ``wait_readable`` is None, the runtime itself waits. Raises EngineError if the log driver
    writes no file, or if the log options of the container are wrong.
    """
    record = lookup.resolve_own(host, reference)
    path = log_path(host, record)
    if not path:
        raise EngineError("configured logging driver does not support reading")
    try:
        log_bounds(host, record)
    except ValueError as error:
        raise EngineError(str(error)) from None
    lookup.keep_supervisor(host, [record])
    return host.runtime.logs(path, options, record.id, wait_readable)


def wait(host: Host, reference: str, condition: str) -> int:
    """Wait for the end of a container's present run, and return the exit code.

    If the container has already ended, the function returns immediately. If the container waits for an automatic
    restart, the function waits for the restart and for the end of the new run. After this end, it does not wait for a
    further restart. If ``condition`` is "removed", also waits until the container has been removed. Any other
    ``condition`` has no effect.
    """
    record = lookup.with_actual_state(host, lookup.resolve_own(host, reference))
    while record.status == "restarting":
        time.sleep(POLL_INTERVAL_SECONDS)
        record = lookup.with_actual_state(host, lookup.resolve(host, record.id))
    code = record.exit_code
    if record.status == "running":
        code = host.runtime.wait(record.id) or 0
    with locked(host.run, "container", record.id):
        settled = finalize_exit(host, record.id)  # release the container's addresses and ports before returning
    if condition == "removed":
        _await_removal(host, record.id)
    # Return the exit code from the record, because another command may have deleted the runtime's exit code before
    # `wait` read it. If the container has been removed or restarted, no record describes this run, so return the result
    # of `wait`.
    return code if settled is None or settled.status == "running" else settled.exit_code


def _await_removal(host: Host, container_id: str) -> None:
    """Wait until the container has been removed.

    The container's supervisor starts a hawse process to remove the container, but that hawse process may have been
    killed. Therefore the waiting command removes the container itself after `REMOVAL_TIMEOUT_SECONDS` seconds.
    """
    overdue = time.monotonic() + REMOVAL_TIMEOUT_SECONDS
    while _exists(host, container_id):
        time.sleep(POLL_INTERVAL_SECONDS)
        if time.monotonic() > overdue:
            with suppress(NotFound):  # another hawse process may have removed the container
                finish_overdue_exit(host, container_id)


def _exists(host: Host, container_id: str) -> bool:
    try:
        lookup.resolve(host, container_id)
    except NotFound:
        return False
    return True
