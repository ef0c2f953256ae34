"""Process the end of a container's run: record the end, then restart or remove the container as configured."""

from __future__ import annotations

from engine.containers import restart_policy
from engine.containers.finalize import finalize_exit
from engine.containers.remove import remove
from engine.containers.start import start
from engine.endpoints import boots
from engine.host import Host, begin_intent, end_intent
from engine.model import ContainerRecord
from engine.store.api import IntentKind
from engine.store.locks import locked


def exited(host: Host, container_id: str, finished_at: str = "") -> None:
    """Handle the end of a container's process: record the end, then restart or remove the container as configured.

    The container's supervisor starts a hawse process that calls this function:

    - at the end of the container's process; ``finished_at`` is ""
    - after the wait before an automatic restart; ``finished_at`` is the time at which the last run ended

    While the host shuts down, nothing is recorded, so that the next boot starts the container.
    """
    if _is_shutting_down(host):
        return
    if finished_at:
        restart_now(host, container_id, finished_at)
        return
    record = record_end(host, container_id)
    if record is None or record.status != "restarting":
        return
    delay = restart_policy.backoff(record)
    if delay:
        _restart_later(host, record, delay)
    else:
        restart_now(host, container_id, record.finished_at)


def finish_overdue_exit(host: Host, container_id: str) -> None:
    """Handle the end of a container's process if `exited` has not handled it in time; idempotent.

    The hawse process that runs `exited` may be slow or may have been killed. Unlike `exited`, this function does not
    wait before it restarts the container.
    """
    if _is_shutting_down(host):
        return
    record = record_end(host, container_id)
    if record is not None and record.status == "restarting":
        restart_now(host, container_id, record.finished_at)


def _is_shutting_down(host: Host) -> bool:
    with host.store.read() as reader:
        return boots.is_shutting_down(reader)


def record_end(host: Host, container_id: str) -> ContainerRecord | None:
    """Record the end of a container's process; remove the container if it has --rm and is not restarted.

    Return the container's record. Return None if the container runs, if this call has removed it, or if it does not
    exist.
    """
    with locked(host.run, "container", container_id):
        record = finalize_exit(host, container_id)
        if record is None or record.status == "running":
            return None
        if not record.host.auto_remove or record.status == "restarting":
            host.runtime.delete(container_id)  # another command may have left the container's runtime files
            return record
    remove(host, container_id, force=False)
    return None


def _restart_later(host: Host, record: ContainerRecord, delay: float) -> None:
    """Let the supervisor start a container again after ``delay`` seconds, the wait before an automatic restart.

    If the user stops or starts the container during this wait, the supervisor does not restart it. The supervisor owns
    the intent for the restart. Commands finish the intents of owners that were killed. Therefore, if the supervisor is
    killed, the next command restarts the container.
    """
    owner = host.runtime.restart_later(record.id, delay, *host.callback("__exited", record.id, record.finished_at))
    with host.store.write() as tx:
        current = tx.container(record.id)
        if current is not None and (current.status, current.finished_at) == ("restarting", record.finished_at):
            begin_intent(tx, IntentKind.CONTAINER_RESTART, record.id, owner)


def restart_now(host: Host, container_id: str, finished_at: str = "") -> None:
    """Start a container that waits for an automatic restart; idempotent.

    If ``finished_at`` is not "", the container is started only if its last run ended at that time. The time has the
    form of ``finished_at`` in the container's record.
    """
    with locked(host.run, "container", container_id):
        with host.store.read() as reader:
            current = reader.container(container_id)
        if current is not None and finished_at not in ("", current.finished_at):
            return
        if current is not None and current.status == "restarting":
            start(host, container_id)
        with host.store.write() as tx:
            end_intent(tx, IntentKind.CONTAINER_RESTART, container_id)
