"""Record the end of a container's process, and release the endpoints and ports of the container."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

from msgspec.structs import replace

from drivers.linux import recording
from engine.agent.client import announce
from engine.containers import lookup, namespace_files, sandbox_links
from engine.endpoints import reservation
from engine.errors import EngineError
from engine.events import record as events
from engine.golang import timestamps
from engine.host import Host, begin_intent
from engine.model import ContainerRecord
from engine.runtime.api import ProcessState
from engine.store.api import IntentKind, Transaction
from engine.store.locks import locked

ENDING_SECONDS = 5.0
"""Maximum seconds of the wait for another process that records the end of a container now."""

UNKNOWN = ProcessState(running=False)

SANDBOX_ENDS = "The network namespace ends with its processes. The kernel deletes its links, and their other ends."
"""A comment for ``--explain``: what the kernel deletes by itself when a container ends."""


def finalize_exit(host: Host, container_id: str, *, at_shutdown: bool = False) -> ContainerRecord | None:
    """Record a container's end and release its endpoints, if its process has ended; return the container's record.

    Idempotent; the caller holds the container lock. Returns None if the container has been removed. If ``at_shutdown``
    is True, the host's shutdown has stopped the process. The record then does not count this end as a stop by the user,
    so that the restart policy can start the container after the boot.
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
    close_sandbox(host, record)
    with host.store.write() as tx:
        current = tx.container(container_id)
        if current is not None:
            ended = _record_end(tx, ended, current, state, at_shutdown=at_shutdown)
    # Delete the runtime's files of the container. If a container has --rm and does not restart, keep its files, because
    # they show that the container must still be removed.
    if not ended.host.auto_remove or ended.status == "restarting":
        host.runtime.delete(record.id)  # delete last: other processes read the exit code in these files
    announce(host)
    return ended if current is not None else None


def finalize_ended(host: Host, after: int, own: str) -> bool:
    """Record the ends of all containers whose processes have ended, and return whether there was such a container.

    The result is also True if another process has recorded an end since the event with the number ``after``. An end of
    the container with the id ``own`` does not count, because the caller has recorded it. The caller holds no container
    lock. If another process holds the lock of a container, because it records the end now, this function waits for it
    up to `ENDING_SECONDS`. A container whose end cannot be recorded is skipped. So is an adopted namespace: it may
    exist, although this process does not see it.
    """
    with host.store.read() as reader:
        running = [r for r in reader.containers() if r.status == "running" and r.kind == "process"]
        recorded = any(e.action == "die" and e.actor != own for e in reader.events(after=after))
    ended = [record.id for record in running if not lookup.is_running(host, record)]
    for container_id in ended:
        with suppress(EngineError), locked(host.run, "container", container_id, timeout=ENDING_SECONDS):
            finalize_exit(host, container_id)
    return recorded or bool(ended)


def _record_end(
    tx: Transaction, ended: ContainerRecord, current: ContainerRecord, state: ProcessState, *, at_shutdown: bool
) -> ContainerRecord:
    """Record the end of a container's run with its events, and return the container's new record.

    ``ended`` is the record that the caller has read, with exit code, end time and new status. ``current`` is the record
    in the store: another command may have renamed or stopped the container meanwhile. ``state`` says how the runtime
    saw the process end. With ``at_shutdown``, the host's shutdown has stopped the process, which is no stop by the
    user. If the new status is "restarting", an intent for the restart is recorded too.
    """
    stopped = ended.stopped_by_user or current.stopped_by_user
    ended = replace(ended, stopped_by_user=stopped, name=current.name)
    if stopped:
        ended = replace(ended, status="exited", restart_count=current.restart_count)
    if at_shutdown:
        ended = replace(ended, stopped_by_user=current.stopped_by_user)
    tx.put_container(ended)
    _add_events(tx, ended, state)
    if ended.status == "restarting":
        begin_intent(tx, IntentKind.CONTAINER_RESTART, ended.id)
    return ended


def close_sandbox(host: Host, record: ContainerRecord) -> None:
    """Remove the symbolic links to the sandbox's network namespace; idempotent.

    For an adopted namespace, restore the user's files instead. As in Docker, the container's record keeps the path of
    the link.
    """
    if record.kind == "adopted":
        namespace_files.restore(host, record)
        return
    paths = {record.sandbox_path}
    if record.sandbox_id:
        sandbox_links.remove(host, record)
        # A start records the path after it has made the link. After a killed start, the record has an older path.
        paths.add(sandbox_links.path_of(host.run, record.sandbox_id))
    links = [path for path in map(Path, paths) if path.is_symlink()]
    if links:
        if not recording.is_dry_run():
            for path in links:
                path.unlink(missing_ok=True)
        recording.comment(SANDBOX_ENDS)


def _add_events(tx: Transaction, ended: ContainerRecord, state: ProcessState) -> None:
    """Add the events of the end of a run, in Docker's order; ``state`` says whether the user has stopped the container.

    Adds no events for an adopted namespace, because no process has ended.
    """
    if ended.kind != "process":
        return
    if state.stopping:
        events.container(tx, ended, "stop")
    if ended.oom_killed:
        events.container(tx, ended, "oom")
    events.died(tx, ended)
