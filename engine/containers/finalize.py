"""Record the end of a container's process, and release the endpoints and ports of the container."""

from __future__ import annotations

from dataclasses import replace
from signal import SIGKILL

from engine import intents
from engine.agent.client import announce
from engine.containers import lookup
from engine.endpoints import reservation
from engine.events import record as events
from engine.golang import timestamps
from engine.host import Host
from engine.intents import IntentKind
from engine.model import ContainerRecord
from engine.runtime.api import ProcessState
from engine.store.api import Transaction

UNKNOWN = ProcessState(running=False)


def finalize_exit(host: Host, container_id: str) -> ContainerRecord | None:
    """If the container's process has ended, record its end and release its endpoints; return the record.

    Idempotent; the caller holds the container lock. Returns None if the container has been removed.
    """
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is None or record.status != "running":
        return record
    seen = lookup.with_actual_state(host, record)
    if seen.status == "running":
        return record
    state = host.runtime.state(record.id) if seen.stopped_by_user or seen.status == "restarting" else UNKNOWN
    if state.killed:
        events.alone(host.store, lambda tx: events.killed(tx, seen, SIGKILL))
    reservation.release_endpoints(host, record)
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
            stopped = ended.stopped_by_user or current.stopped_by_user
            ended = replace(ended, stopped_by_user=stopped, name=current.name)
            if stopped:
                ended = replace(ended, status="exited", restart_count=current.restart_count)
            tx.put_container(ended)
            _add_events(tx, ended, state)
            if ended.status == "restarting":
                intents.begin(tx, IntentKind.CONTAINER_RESTART, container_id)
    if not ended.host.auto_remove or ended.status == "restarting":
        # with --rm and no restart, keep the runtime's files: they show that a removal is due
        host.runtime.delete(record.id)  # delete last, because other processes read the exit code in these files
    announce(host)
    return ended if current is not None else None


def _add_events(tx: Transaction, ended: ContainerRecord, state: ProcessState) -> None:
    """Add the events of the end of a run, in Docker's order.

    A namespace that hawse did not start has none, because it is no process. The supervisor tells in ``state`` what it
    did by the user's order.
    """
    if ended.kind != "process":
        return
    if state.stopping:
        events.container(tx, ended, "stop")
    if ended.oom_killed:
        events.container(tx, ended, "oom")
    events.died(tx, ended)
