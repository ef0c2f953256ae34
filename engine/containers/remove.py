"""Remove containers, and kill processes that the runtime does not know.

If a container's files in HAWSE_RUN are deleted, the runtime no longer knows the container's process. This module then
finds the process by the pid in the container's record.
"""

from __future__ import annotations

import os
import select
import signal
import signal as signals
from contextlib import nullcontext, suppress
from dataclasses import replace

from engine import intents
from engine.agent.client import announce
from engine.containers import directory, lookup
from engine.containers.finalize import finalize_exit
from engine.endpoints import reservation
from engine.errors import Conflict, NotFound
from engine.filters import networks
from engine.host import Host
from engine.intents import IntentKind
from engine.model import ContainerRecord, Filters
from engine.runtime import process
from engine.store import locks
from engine.store.locks import locked


def remove(host: Host, container_id: str, *, force: bool) -> None:
    """Remove a container with its endpoints, ports and files.

    Raises NotFound if the container does not exist. Raises Conflict if the container is running and ``force`` is not
    set.
    """
    with locked(host.run, "container", container_id):
        record = finalize_exit(host, container_id)
        if record is None:
            raise NotFound(f"No such container: {container_id}")
        _refuse_running(record, force)
        with host.store.write() as tx:
            tx.put_container(replace(record, stopped_by_user=True))
            intents.begin(tx, IntentKind.CONTAINER_REMOVE, container_id)
        with host.runtime.ending(container_id) if record.status == "running" else nullcontext():
            finish_removal(host, container_id)
        locks.forget(host.run, "container", container_id)
        with host.store.write() as tx:
            intents.end(tx, IntentKind.CONTAINER_REMOVE, container_id)
    announce(host)


def resume_removal(host: Host, container_id: str) -> None:
    """Finish the removal of a container that a killed command has begun; idempotent. Takes the container lock."""
    with locked(host.run, "container", container_id):
        finish_removal(host, container_id)
        locks.forget(host.run, "container", container_id)
    announce(host)


def finish_removal(host: Host, container_id: str) -> None:
    """Kill a container, release its endpoints and ports, and delete its record and files; idempotent.

    The caller holds the container lock.
    """
    host.runtime.signal(container_id, signals.SIGKILL)  # kill now, so that the process ends during the next steps
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is not None:
        reservation.release_endpoints(host, record, alive=False)
        reservation.close_sandbox(record)
    host.runtime.delete(container_id)
    if record is not None and record.kind == "process":
        end_orphan(record, signals.SIGKILL, None)
    directory.remove(host, container_id)
    with host.store.write() as tx:
        tx.delete_container(container_id)
        intents.end(tx, IntentKind.CONTAINER_RESTART, container_id)


def _refuse_running(record: ContainerRecord, force: bool) -> None:
    if record.status in ("running", "restarting") and record.kind == "process" and not force:
        raise Conflict(
            f'cannot remove container "/{record.name}": container is {record.status}: '
            "stop the container before removing or force remove"
        )


def prune(host: Host, filters: Filters) -> tuple[list[str], int]:
    """Remove all stopped containers that match the filters.

    Return the ids of the removed containers, and the number of bytes that the removed files occupied.
    """
    networks.check_container_prune(filters)
    with host.store.read() as reader:
        stopped = [
            c for c in reader.containers() if lookup.with_actual_state(host, c).status in ("created", "exited", "dead")
        ]
    removed, reclaimed = [], 0
    for record in stopped:
        if networks.container_prunable(record, filters):
            size = directory.size(host, record.id)
            try:
                remove(host, record.id, force=False)
            except (Conflict, NotFound):
                continue
            removed.append(record.id)
            reclaimed += size
    return removed, reclaimed


def is_orphan(host: Host, record: ContainerRecord) -> bool:
    """Return whether the container's process still runs, but the supervisor does not know it."""
    return record.kind == "process" and lookup.is_alive(record) and not host.runtime.knows(record.id)


def end_orphan(record: ContainerRecord, number: int, patience: float | None) -> None:
    """Send the signal ``number`` to a process that the runtime does not know, and wait until the process ends.

    If the process is still running after ``patience`` seconds, SIGKILL is sent. If ``patience`` is None, SIGKILL is
    never sent. No effect if the process has already ended.
    """
    pidfd = process.open_pidfd(record.pid, record.pid_start)
    if pidfd is None:
        return
    try:
        for each, seconds in ((number, patience), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, each)
            if select.select([pidfd], [], [], seconds)[0]:
                return
    finally:
        os.close(pidfd)
