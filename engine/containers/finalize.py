"""TODO."""

from __future__ import annotations

from dataclasses import replace

from engine import intents
from engine.agent.client import announce
from engine.containers import lookup
from engine.endpoints import reservation
from engine.golang import timestamps
from engine.host import Host
from engine.intents import IntentKind
from engine.model import ContainerRecord


def finalize_exit(host: Host, container_id: str) -> ContainerRecord | None:
    """Record the end of a process that has ended and release what it held; under the container's lock, idempotent."""
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is None or record.status != "running":
        return record
    seen = lookup.with_actual_state(host, record)
    if seen.status == "running":
        return record
    reservation.release_endpoints(host, record, alive=False)
    ended = replace(
        seen,
        pid=0,
        pid_start=0,
        finished_at=seen.finished_at if seen.finished_at != record.finished_at else timestamps.now(),
    )
    reservation.close_sandbox(record)
    with host.store.write() as tx:
        current = tx.container(container_id)
        if current is not None:
            ended = replace(ended, stopped_by_user=current.stopped_by_user, name=current.name)
            if current.stopped_by_user:
                ended = replace(ended, status="exited", restart_count=current.restart_count)
            tx.put_container(ended)
            if ended.status == "restarting":
                intents.begin(tx, IntentKind.CONTAINER_RESTART, container_id)
    if not ended.host.auto_remove:  # that one's files are left until it is removed, lest that be forgotten
        host.runtime.delete(record.id)  # only now, because others read the exit code there until it is on record
    announce(host)
    return ended if current is not None else None
