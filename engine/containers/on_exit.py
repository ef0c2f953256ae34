"""Process the end of a container's run: record the end, then restart or remove the container as configured."""

from __future__ import annotations

import time

from engine import intents
from engine.containers import restart_policy
from engine.containers.finalize import finalize_exit
from engine.containers.remove import remove
from engine.containers.start import start
from engine.host import Host
from engine.intents import IntentKind
from engine.model import ContainerRecord
from engine.store import locks
from engine.store.locks import locked


def exited(host: Host, container_id: str) -> None:
    """Record the end of a container's process, then restart or remove the container as configured.

    When the process ends, the container's supervisor starts a new hawse process, which calls this function.
    """
    record = _ended(host, container_id)
    if record is not None and record.status == "restarting":
        _restart_later(host, record)


def finish_overdue_exit(host: Host, container_id: str) -> None:
    """Record the end of a container's process, then restart or remove the container, if `exited` has not done so in
    time; idempotent.

    The hawse process that runs `exited` may be slow or may have been killed. This function does the same as `exited`,
    but restarts the container without the backoff time.
    """
    record = _ended(host, container_id)
    if record is not None and record.status == "restarting":
        restart_now(host, container_id, record.finished_at)


def _ended(host: Host, container_id: str) -> ContainerRecord | None:
    """Record the end of a container's process. Also remove the container if it was started with --rm.

    Return the container's record, or None if the container has been removed or is running.
    """
    with locked(host.run, "container", container_id):
        record = finalize_exit(host, container_id)
        if record is None:
            locks.forget(host.run, "container", container_id)  # no such container: delete the lock file made just now
            return None
        if record.status == "running":
            return None
        if not record.host.auto_remove:
            host.runtime.delete(container_id)  # needed if another command recorded the end but kept the runtime's files
            return record
    remove(host, container_id, force=False)
    return None


def _restart_later(host: Host, record: ContainerRecord) -> None:
    """Start a container again after the backoff time (the wait before an automatic restart).

    No effect if the user stops or starts the container during the backoff time.
    """
    with host.store.write() as tx:
        current = tx.container(record.id)
        if current is None or current.status != "restarting":
            return
        intents.begin(tx, IntentKind.CONTAINER_RESTART, record.id)
    time.sleep(restart_policy.backoff(record))
    restart_now(host, record.id, record.finished_at)


def restart_now(host: Host, container_id: str, finished_at: str = "") -> None:
    """Start a container that waits for an automatic restart; idempotent.

    If ``finished_at`` is given, the container is started only if the container's last run ended at that time.
    """
    with locked(host.run, "container", container_id):
        with host.store.read() as reader:
            current = reader.container(container_id)
        if current is not None and finished_at not in ("", current.finished_at):
            return
        if current is not None and current.status == "restarting":
            start(host, container_id)
        with host.store.write() as tx:
            intents.end(tx, IntentKind.CONTAINER_RESTART, container_id)
