"""Stop, kill and restart containers, and start them on a user's request."""

from __future__ import annotations

import signal as signals
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from engine import intents
from engine.containers import lookup, restart_policy
from engine.containers.finalize import finalize_exit
from engine.containers.remove import end_orphan, is_orphan
from engine.containers.start import reset_restart_count, start
from engine.errors import Conflict, EngineError
from engine.host import Host
from engine.intents import IntentKind
from engine.model import ContainerRecord
from engine.store.locks import locked
from engine.validate.signals import RTMAX, check_supported, parse_signal

DEFAULT_TIMEOUT = 10
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


def stop(host: Host, container_id: str, timeout: int | None, signal: str) -> None:
    """Stop a container's process, with SIGKILL after the timeout.

    On return, the endpoints and ports of the container are released.
    """
    record = _marked_stopped(host, container_id, signal)
    if record is None:
        return
    if record.status == "exited":  # an automatic restart may be in progress: wait for its end, then stop again
        with locked(host.run, "container", record.id):
            pass
        stop(host, container_id, timeout, signal)
        return
    with _ending(host, record):
        if record.kind == "process":
            patience = timeout if timeout is not None else record.config.stop_timeout
            _end(host, record, signal, DEFAULT_TIMEOUT if patience is None else patience)
        with locked(host.run, "container", record.id):
            finalize_exit(host, record.id)


def _ending(host: Host, record: ContainerRecord) -> AbstractContextManager[object]:
    """Return a context in which this command, and not a new hawse process, records the end of the container's process.

    Usually the supervisor starts a hawse process when a container's process ends. Inside the context, the supervisor
    does not start that process. A container with --rm is an exception: the supervisor starts the hawse process, which
    removes the container after this command has returned.
    """
    return nullcontext() if record.host.auto_remove else host.runtime.ending(record.id)


def _end(host: Host, record: ContainerRecord, signal: str, patience: int) -> None:
    """Send the stop signal, then SIGKILL after ``patience`` seconds. If ``patience`` is negative, SIGKILL is never
    sent.
    """
    number = parse_signal(signal or record.config.stop_signal or "SIGTERM")
    if is_orphan(host, record):
        end_orphan(record, number, None if patience < 0 else patience)
        return
    if number <= RTMAX:
        host.runtime.signal(record.id, number)
    else:
        patience = UNKNOWN_SIGNAL_WAIT_SECONDS
    if host.runtime.wait(record.id, None if patience < 0 else patience) is None:
        host.runtime.signal(record.id, signals.SIGKILL)
        host.runtime.wait(record.id, DEFAULT_TIMEOUT)


def _marked_stopped(host: Host, container_id: str, signal: str = "") -> ContainerRecord | None:
    """Record that the user stops the container, so that no restart policy starts the container again.

    Return the record, or None if the container is neither running nor restarting. If ``signal`` is invalid, raises the
    error of `parse_signal` and records nothing.
    """
    with host.store.write() as tx:
        record = tx.container(container_id)
        if record is None or record.status not in ("running", "restarting"):
            return None
        if signal:
            parse_signal(signal)  # raise for an invalid signal before anything is recorded
        status = "exited" if record.status == "restarting" else record.status
        record = replace(record, stopped_by_user=True, status=status)
        tx.put_container(record)
        intents.end(tx, IntentKind.CONTAINER_RESTART, container_id)
        return record


def kill(host: Host, reference: str, signal: str) -> None:
    """Send one signal to a container's process.

    After SIGKILL, the end of the process is also recorded, so that the next command sees the container as ended.
    """
    with error_prefix(f"cannot kill container: {reference}"):
        number = check_supported(parse_signal(signal or "SIGKILL"))
        record = lookup.with_actual_state(host, lookup.resolve_own(host, reference))
        if record.status not in ("running", "restarting"):
            raise Conflict(f"container {record.id} is not running")
    if record.status == "restarting":
        stop(host, record.id, None, "")
        return
    if restart_policy.ends_with(record, number):
        _marked_stopped(host, record.id)
    if number == signals.SIGKILL and is_orphan(host, record):
        end_orphan(record, number, None)
    host.runtime.signal(record.id, number)
    if number == signals.SIGKILL and host.runtime.wait(record.id, DEFAULT_TIMEOUT) is not None:
        with locked(host.run, "container", record.id):
            finalize_exit(host, record.id)


def restart(host: Host, reference: str, timeout: int | None, signal: str) -> None:
    """Stop a container, reset its count of automatic restarts, then start it."""
    container_id = lookup.resolve_own(host, reference).id
    with error_prefix(f"Cannot restart container {reference}"):
        stop(host, container_id, timeout, signal)
        with locked(host.run, "container", container_id):
            reset_restart_count(host, container_id)
            start(host, container_id)
