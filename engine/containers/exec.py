"""Access a container: its streams, its log, further commands in it, and waiting for its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from engine.containers import lookup
from engine.containers.finalize import finalize_exit
from engine.containers.on_exit import finish_overdue_exit
from engine.containers.process_spec import log_bounds, log_path
from engine.errors import Conflict, EngineError, KernelFailure, NotFound, StartFailure
from engine.host import Host
from engine.model import ContainerRecord, ExecCreate, LogOptions
from engine.runtime.api import Attachment, LogLine, RuntimeFailure, Stdio
from engine.store.locks import locked

POLL = 0.02
"""Seconds between checks for a container's removal, because there is no file descriptor to wait on."""

OVERDUE = 5.0
"""Seconds after which this process finishes an overdue removal itself."""


def running(host: Host, reference: str) -> ContainerRecord:
    """Return the container's record; raises Conflict if it is not running."""
    record = lookup.with_actual_state(host, lookup.resolve(host, reference))
    lookup.check_not_restarting(record)
    if record.status != "running":
        raise Conflict(f"container {record.id} is not running")
    return record


def execute(host: Host, reference: str, request: ExecCreate, stdio: Stdio) -> int:
    """Run another command in a running container and return its exit code.

    Raises `StartFailure` with exit code 126 if the command cannot be executed.
    """
    record = running(host, reference)
    try:
        return host.runtime.exec(record.id, request, stdio)
    except RuntimeFailure as error:
        if error.kind == "other":
            raise KernelFailure(str(error)) from error
        raise StartFailure(str(error), 126) from error


def open_attachment(host: Host, reference: str, stdio: Stdio, *, stdin: bool) -> Attachment:
    """Connect to the streams of a container that is running or will be started."""
    record = lookup.resolve(host, reference)
    return host.runtime.open_attachment(record.id, stdio, stdin=stdin, tty=record.config.tty)


def logs(host: Host, reference: str, options: LogOptions) -> Iterator[LogLine]:
    """Return the lines of the container's log file.

    Raises EngineError if the log driver keeps no file, or if its options are wrong.
    """
    record = lookup.resolve(host, reference)
    path = log_path(host, record)
    if not path:
        raise EngineError("configured logging driver does not support reading")
    try:
        log_bounds(host, record)
    except ValueError as error:
        raise EngineError(str(error)) from None
    return host.runtime.logs(path, options, record.id)


def wait(host: Host, reference: str, condition: str) -> int:
    """Wait for the container's end or removal and return its exit code."""
    record = lookup.with_actual_state(host, lookup.resolve(host, reference))
    while record.status == "restarting":
        time.sleep(POLL)
        record = lookup.with_actual_state(host, lookup.resolve(host, record.id))
    code = record.exit_code
    if record.status == "running" or condition == "next-exit":
        code = host.runtime.wait(record.id) or 0
    with locked(host.run, "container", record.id):
        settled = finalize_exit(host, record.id)  # so its addresses and ports are free when this returns
    if condition == "removed":
        _await_removal(host, record.id)
    # Return the recorded exit code, because the runtime may have deleted its own copy. If a restart policy has already
    # begun the next run, return the code that the wait gave.
    return code if settled is None or settled.status == "running" else settled.exit_code


def _await_removal(host: Host, container_id: str) -> None:
    """Wait until the container is gone.

    The process that should remove it may have been killed. Therefore this process does it after `OVERDUE` seconds.
    """
    overdue = time.monotonic() + OVERDUE
    while _exists(host, container_id):
        time.sleep(POLL)
        if time.monotonic() > overdue:
            with suppress(NotFound):  # the other process was slow, but alive
                finish_overdue_exit(host, container_id)


def _exists(host: Host, container_id: str) -> bool:
    try:
        lookup.resolve(host, container_id)
    except NotFound:
        return False
    return True
