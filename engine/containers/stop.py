"""The end of a container's process: stopping it, settling what it held, restarting it by policy, removing it."""

from __future__ import annotations

import signal as signals
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from engine import intents, timestamps
from engine.agent.notify import announce
from engine.containers import directory, lookup, orphan_process, restart_policy
from engine.containers.start import begin_anew, start
from engine.endpoints import release
from engine.errors import Conflict, EngineError, NotFound
from engine.filters import networks
from engine.host import Host
from engine.model import ContainerRecord, Filters
from engine.store import locks
from engine.store.locks import locked
from engine.validate.signals import RTMAX, check_supported, parse_signal

REMOVE, RESTART = "container-remove", "container-restart"
DEFAULT_TIMEOUT = 10
IN_VAIN = 2
"""Seconds that Docker waits after a signal that the system does not have, before it forces the end."""


@contextmanager
def worded(what: str) -> Iterator[None]:
    """Put what could not be done before the reason why, as Docker words it."""
    try:
        yield
    except EngineError as error:
        error.args = (f"{what}: {error}",)
        raise


def stop(host: Host, container_id: str, timeout: int | None, signal: str) -> None:
    """Ask the process to end, then force it; returns with everything it held released."""
    record = _marked_stopped(host, container_id, signal)
    if record is None:
        return
    if record.status == "exited":  # it was between two runs; should the next one begin already, that is stopped too
        with locked(host.run, "container", record.id):
            pass
        stop(host, container_id, timeout, signal)
        return
    with _ending(host, record):
        if record.kind == "process":
            patience = timeout if timeout is not None else record.config.stop_timeout
            _end(host, record, signal, DEFAULT_TIMEOUT if patience is None else patience)
        with locked(host.run, "container", record.id):
            settle(host, record.id)


def _ending(host: Host, record: ContainerRecord) -> AbstractContextManager[object]:
    """Settle the end in this block, instead of the process that the runtime starts to do so.

    Not of a container that is to be removed then: that is for the other process to do, when the command has returned.
    """
    return nullcontext() if record.host.auto_remove else host.runtime.ending(record.id)


def _end(host: Host, record: ContainerRecord, signal: str, patience: int) -> None:
    """Ask, and force after ``patience`` seconds (never, if negative)."""
    number = parse_signal(signal or record.config.stop_signal or "SIGTERM")
    if orphan_process.is_stray(host, record):
        orphan_process.end(record, number, None if patience < 0 else patience)
        return
    if number <= RTMAX:
        host.runtime.signal(record.id, number)
    else:
        patience = IN_VAIN
    if host.runtime.wait(record.id, None if patience < 0 else patience) is None:
        host.runtime.signal(record.id, signals.SIGKILL)
        host.runtime.wait(record.id, DEFAULT_TIMEOUT)


def _marked_stopped(host: Host, container_id: str, signal: str = "") -> ContainerRecord | None:
    """Note that the user wants it stopped, so that no policy starts it again; None where nothing runs."""
    with host.store.write() as tx:
        record = tx.container(container_id)
        if record is None or record.status not in ("running", "restarting"):
            return None
        if signal:
            parse_signal(signal)  # a wrong one leaves all as it is
        status = "exited" if record.status == "restarting" else record.status
        record = replace(record, stopped_by_user=True, status=status)
        tx.put_container(record)
        intents.end(tx, RESTART, container_id)
        return record


def settle(host: Host, container_id: str) -> ContainerRecord | None:
    """Record the end of a process that has ended and release what it held; under the container's lock, idempotent."""
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is None or record.status != "running":
        return record
    seen = lookup.observed(host, record)
    if seen.status == "running":
        return record
    release.release_endpoints(host, record, alive=False)
    ended = replace(
        seen,
        pid=0,
        pid_start=0,
        finished_at=seen.finished_at if seen.finished_at != record.finished_at else timestamps.now(),
    )
    release.close_sandbox(record)
    with host.store.write() as tx:
        current = tx.container(container_id)
        if current is not None:
            ended = replace(ended, stopped_by_user=current.stopped_by_user, name=current.name)
            if current.stopped_by_user:
                ended = replace(ended, status="exited", restart_count=current.restart_count)
            tx.put_container(ended)
            if ended.status == "restarting":
                intents.begin(tx, RESTART, container_id)
    if not ended.host.auto_remove:  # that one's files are left until it is removed, lest that be forgotten
        host.runtime.delete(record.id)  # only now, because others read the exit code there until it is on record
    announce(host)
    return ended if current is not None else None


def exited(host: Host, container_id: str) -> None:
    """What the runtime calls when a process has ended: settle, then restart or remove as configured."""
    record = _ended(host, container_id)
    if record is not None and record.status == "restarting":
        _restart_later(host, record)


def make_up(host: Host, container_id: str) -> None:
    """Do what `exited` should have done some time ago, and could not or was killed; idempotent."""
    record = _ended(host, container_id)
    if record is not None and record.status == "restarting":
        restart_now(host, container_id, record.finished_at)


def _ended(host: Host, container_id: str) -> ContainerRecord | None:
    """Settle, and remove what is to go at its end; the record, None where it is gone or runs."""
    with locked(host.run, "container", container_id):
        record = settle(host, container_id)
        if record is None:
            locks.forget(host.run, "container", container_id)  # its remover's lock was another file
            return None
        if record.status == "running":
            return None
        if not record.host.auto_remove:
            host.runtime.delete(container_id)  # whoever settled it may have been killed before it came to that
            return record
    remove(host, container_id, force=False)
    return None


def _restart_later(host: Host, record: ContainerRecord) -> None:
    """Begin the next run when its time has come, unless somebody has stopped or started the container by then."""
    with host.store.write() as tx:
        current = tx.container(record.id)
        if current is None or current.status != "restarting":
            return
        intents.begin(tx, RESTART, record.id)
    time.sleep(restart_policy.backoff(record))
    restart_now(host, record.id, record.finished_at)


def restart_now(host: Host, container_id: str, finished_at: str = "") -> None:
    """Begin the next run of a container that waits for it, since the given end of the last one; idempotent."""
    with locked(host.run, "container", container_id):
        with host.store.read() as reader:
            current = reader.container(container_id)
        if current is not None and finished_at not in ("", current.finished_at):
            return
        if current is not None and current.status == "restarting":
            start(host, container_id)
        with host.store.write() as tx:
            intents.end(tx, RESTART, container_id)


def remove(host: Host, container_id: str, *, force: bool) -> None:
    """Remove a container and all it has; a running one only by force."""
    with locked(host.run, "container", container_id):
        record = settle(host, container_id)
        if record is None:
            raise NotFound(f"No such container: {container_id}")
        _refuse_running(record, force)
        with host.store.write() as tx:
            tx.put_container(replace(record, stopped_by_user=True))
            intents.begin(tx, REMOVE, container_id)
        with host.runtime.ending(container_id) if record.status == "running" else nullcontext():
            finish_removal(host, container_id)
        locks.forget(host.run, "container", container_id)
        with host.store.write() as tx:
            intents.end(tx, REMOVE, container_id)
    announce(host)


def resume_removal(host: Host, container_id: str) -> None:
    """Finish a removal that was begun; idempotent."""
    with locked(host.run, "container", container_id):
        finish_removal(host, container_id)
        locks.forget(host.run, "container", container_id)
    announce(host)


def finish_removal(host: Host, container_id: str) -> None:
    """Kill, release and forget a container, whatever is left of it; idempotent."""
    host.runtime.signal(container_id, signals.SIGKILL)  # first, so that it ends while the rest is done
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is not None:
        release.release_endpoints(host, record, alive=False)
        release.close_sandbox(record)
    host.runtime.delete(container_id)
    if record is not None and record.kind == "process":
        orphan_process.end(record, signals.SIGKILL, None)
    directory.remove(host, container_id)
    with host.store.write() as tx:
        tx.delete_container(container_id)
        intents.end(tx, RESTART, container_id)


def _refuse_running(record: ContainerRecord, force: bool) -> None:
    if record.status in ("running", "restarting") and record.kind == "process" and not force:
        raise Conflict(
            f'cannot remove container "/{record.name}": container is {record.status}: '
            "stop the container before removing or force remove"
        )


def prune(host: Host, wanted: Filters) -> tuple[list[str], int]:
    """Remove all stopped containers that match; their ids and the bytes that their own files took."""
    networks.check_container_prune(wanted)
    with host.store.read() as reader:
        stopped = [c for c in reader.containers() if lookup.observed(host, c).status in ("created", "exited", "dead")]
    removed, reclaimed = [], 0
    for record in stopped:
        if networks.container_prunable(record, wanted):
            size = directory.size(host, record.id)
            try:
                remove(host, record.id, force=False)
            except (Conflict, NotFound):
                continue
            removed.append(record.id)
            reclaimed += size
    return removed, reclaimed


def kill(host: Host, reference: str, signal: str) -> None:
    """Send one signal; SIGKILL also settles, so that the next command sees the container ended."""
    with worded(f"cannot kill container: {reference}"):
        number = check_supported(parse_signal(signal or "SIGKILL"))
        record = lookup.observed(host, lookup.resolve(host, reference))
        if record.status not in ("running", "restarting"):
            raise Conflict(f"container {record.id} is not running")
    if record.status == "restarting":
        stop(host, record.id, None, "")
        return
    if restart_policy.ends_with(record, number):
        _marked_stopped(host, record.id)
    if number == signals.SIGKILL and orphan_process.is_stray(host, record):
        orphan_process.end(record, number, None)
    host.runtime.signal(record.id, number)
    if number == signals.SIGKILL and host.runtime.wait(record.id, DEFAULT_TIMEOUT) is not None:
        with locked(host.run, "container", record.id):
            settle(host, record.id)


def start_by_user(host: Host, container_id: str) -> None:
    """Start because a person asked; one that is to be removed after its end is removed when it cannot start."""
    try:
        with locked(host.run, "container", container_id):
            if lookup.observed(host, lookup.resolve(host, container_id)).status not in ("running", "restarting"):
                begin_anew(host, container_id)
                start(host, container_id)
    except EngineError:
        with host.store.read() as reader:
            record = reader.container(container_id)
        if record is not None and record.host.auto_remove:
            remove(host, container_id, force=False)
        raise


def restart(host: Host, reference: str, timeout: int | None, signal: str) -> None:
    """Stop, then start; the restart count begins anew."""
    container_id = lookup.resolve(host, reference).id
    with worded(f"Cannot restart container {reference}"):
        stop(host, container_id, timeout, signal)
        with locked(host.run, "container", container_id):
            begin_anew(host, container_id)
            start(host, container_id)
