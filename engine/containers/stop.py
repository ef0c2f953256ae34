"""Stop, kill and restart containers."""

from __future__ import annotations

import signal as signals
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from msgspec.structs import replace

from engine.containers import finalize, lookup, restart_policy
from engine.containers.finalize import finalize_exit
from engine.containers.remove import end_orphan, is_orphan
from engine.containers.start import reset_restart_count, start
from engine.errors import Conflict, EngineError
from engine.events import record as events
from engine.host import Host, end_intent, retried_after_ends
from engine.model import ContainerRecord
from engine.runtime.api import StopRequest
from engine.store.api import IntentKind
from engine.store.locks import locked
from engine.validate.signals import RTMAX, check_supported, parse_signal

DEFAULT_TIMEOUT = 10  # seconds
UNKNOWN_SIGNAL_WAIT_SECONDS = 2
"""Seconds to wait before SIGKILL if the number of the stop signal does not exist on this system. Docker waits for the
same time.
"""


@contextmanager
def error_prefix(what: str) -> Iterator[None]:
    """Put ``what`` and a colon before the message of an error that the block raises, as Docker does."""
    try:
        yield
    except EngineError as error:
        error.args = (f"{what}: {error}",)
        raise


def stop(host: Host, container_id: str, timeout: int | None, signal: str) -> bool:
    """Stop a container with a signal, then with SIGKILL; return whether it was running or waited for a restart.

    If ``signal`` is "", the container's stop signal is sent. SIGKILL is sent after ``timeout`` seconds. If ``timeout``
    is None, the container's stop timeout is used. If the timeout is negative, SIGKILL is never sent. On return, the
    endpoints and ports of the container are released. If this command is killed, the supervisor finishes the stop.
    """
    was_running = False
    while True:
        with host.store.read() as reader:
            record = reader.container(container_id)
        if record is None or record.status not in ("running", "restarting"):
            return was_running
        was_running = True
        if record.status == "restarting":
            _cancel_restart(host, record, signal)
            continue
        with _ended(host, record, timeout, signal), locked(host.run, "container", record.id):
            ended = finalize_exit(host, record.id)
        if ended is None or ended.status not in ("running", "restarting") or _is_same_run(ended, record):
            return True


def _is_same_run(first: ContainerRecord, second: ContainerRecord) -> bool:
    """Return whether two records of a container describe the same process, by its pid and start time.

    The processes differ if the first process ended by itself and the restart policy started the container again.
    """
    return (first.pid, first.pid_start) == (second.pid, second.pid_start)


def _cancel_restart(host: Host, record: ContainerRecord, signal: str) -> None:
    """Stop a container that waits for an automatic restart.

    The container has no process, so ``signal`` is not sent. Raises InvalidArgument if ``signal`` is invalid. No effect
    if the container no longer waits.
    """
    if signal:
        parse_signal(signal)  # raise for an invalid signal before anything is recorded
    with locked(host.run, "container", record.id):
        with host.store.write() as tx:
            current = tx.container(record.id)
            if current is None or current.status != "restarting":
                return
            tx.put_container(replace(current, stopped_by_user=True, status="exited"))
            events.container(tx, current, "stop")
            end_intent(tx, IntentKind.CONTAINER_RESTART, record.id)
        host.runtime.cancel_restart(record.id)


@contextmanager
def _ended(
    host: Host, record: ContainerRecord, timeout: int | None, signal: str, *, restart: bool = False
) -> Iterator[None]:
    """End the process of a running container; the ``with`` block runs after the process has ended.

    The process gets ``signal`` (if it is "", the container's stop signal), then SIGKILL after ``timeout`` seconds. If
    ``timeout`` is None, the container's stop timeout is used. If the timeout is negative, SIGKILL is never sent. The
    supervisor sends these signals even if this command is killed.

    If this command is killed in the block, the supervisor also runs the program that handles the end. With ``restart``,
    that program starts the container again. An adopted namespace has no process to end.
    """
    number = parse_signal(signal or record.config.stop_signal or "SIGTERM")
    events.alone(host.store, lambda tx: events.killed(tx, record, number))
    if record.kind != "process":
        yield
        return
    request = stop_request(record, number, timeout, restart=restart)
    if is_orphan(host, record):
        end_orphan(record, request.signal, request.seconds)
        _mark_stopped(host, record.id, "stop")
        yield
        return
    # With ``hold``, this command handles the end of the container. Without ``hold``, the supervisor runs a program that
    # handles the end. With --rm, that program is needed, because it also removes the container.
    hold = restart or not record.host.auto_remove
    with host.runtime.stop(record.id, request, hold=hold):
        yield


def stop_request(
    record: ContainerRecord, number: int, timeout: int | None = None, *, restart: bool = False
) -> StopRequest:
    """Return the request to end a process by the signal ``number``, and by SIGKILL after ``timeout`` seconds.

    If ``timeout`` is None, the container's own stop timeout is used. If the container has none, `DEFAULT_TIMEOUT` is
    used. A negative timeout means no SIGKILL. With ``restart``, the container is started again after its end. If Linux
    has no signal ``number``, only SIGKILL is sent, after `UNKNOWN_SIGNAL_WAIT_SECONDS`.
    """
    chosen = timeout if timeout is not None else record.config.stop_timeout
    seconds = DEFAULT_TIMEOUT if chosen is None else chosen
    if not 0 < number <= RTMAX:
        number, seconds = 0, UNKNOWN_SIGNAL_WAIT_SECONDS
    return StopRequest(number, None if seconds < 0 else seconds, restart)


def _mark_stopped(host: Host, container_id: str, action: str = "") -> None:
    """Record that the user has stopped a container; no effect if its record does not say "running".

    Used if the runtime does not know the container's process. Also adds the event ``action``, unless ``action`` is "".
    """
    with host.store.write() as tx:
        record = tx.container(container_id)
        if record is not None and record.status == "running":
            tx.put_container(replace(record, stopped_by_user=True))
            if action:
                events.container(tx, record, action)


def kill(host: Host, reference: str, signal: str) -> None:
    """Send the signal ``signal`` to a container's process; raises Conflict if the container is not running.

    If ``signal`` is "", SIGKILL is sent. A container that waits for an automatic restart is stopped instead. After
    SIGKILL, blocks up to `DEFAULT_TIMEOUT` seconds until the process has ended, and then records the end.
    """
    with error_prefix(f"cannot kill container: {reference}"):
        number = check_supported(parse_signal(signal or "SIGKILL"))
        record = lookup.with_actual_state(host, lookup.resolve_own(host, reference))
        if record.status not in ("running", "restarting"):
            raise Conflict(f"container {record.id} is not running")
    if record.status == "restarting":
        stop(host, record.id, None, "")
        return
    events.alone(host.store, lambda tx: events.killed(tx, record, number))
    if number == signals.SIGKILL and is_orphan(host, record):
        end_orphan(record, number, None)
        _mark_stopped(host, record.id)
    elif record.kind == "process" and restart_policy.ends_with(record, number):
        with error_prefix(f"cannot kill container: {reference}"):
            host.runtime.request_stop(record.id, StopRequest(number))  # also prevents an automatic restart
    else:
        host.runtime.signal(record.id, number)
    if number == signals.SIGKILL and host.runtime.wait(record.id, DEFAULT_TIMEOUT) is not None:
        with locked(host.run, "container", record.id):
            finalize_exit(host, record.id)


def restart(host: Host, reference: str, timeout: int | None, signal: str) -> None:
    """Stop a container as `stop` does, reset its count of automatic restarts, then start it.

    ``timeout`` and ``signal`` mean the same as for `stop`. If the container is not running, nothing is stopped. If this
    command is killed, the supervisor finishes the stop and the start. If an ended container may still have a needed
    address or port, tries the start a second time (`retried_after_ends`).
    """
    record = lookup.resolve_own(host, reference)
    with error_prefix(f"Cannot restart container {reference}"):
        running = record.status == "running"
        ending = _ended(host, record, timeout, signal, restart=True) if running else nullcontext()
        with ending:
            retried_after_ends(host, partial(_start_again, host, record), finalize.finalize_ended, record.id)


def _start_again(host: Host, record: ContainerRecord) -> None:
    """Record the end of a container's process, then start the container, and add the event "restart"."""
    with locked(host.run, "container", record.id):
        ended = finalize_exit(host, record.id)
        reset_restart_count(host, record.id)
        start(host, record.id)
        events.alone(host.store, lambda tx: events.container(tx, ended or record, "restart"))
