"""Remove containers, and kill processes that the runtime does not know.

If a container's files in HAWSE_RUN are deleted, the runtime no longer knows the container's process. This module then
finds the process by the pid in the container's record.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress

from msgspec.structs import replace

from engine.agent.client import announce
from engine.containers import directory, lookup
from engine.containers.finalize import close_sandbox, finalize_exit
from engine.endpoints import reservation
from engine.errors import Conflict, EngineError, NotFound, Unavailable, hinted
from engine.eventloop.readiness import wait_readable
from engine.events import record as events
from engine.filters.prune import check_prune, container_prunable
from engine.golang import timestamps
from engine.host import Host, begin_intent, end_intent
from engine.model import ContainerRecord, Filters
from engine.runtime import process
from engine.store.api import IntentKind, Transaction
from engine.store.locks import locked

DISCONNECT = "It is a namespace that hawse did not make. To take it off a network: hawse network disconnect"
KILLED_TIMEOUT_SECONDS = 10.0
BUNCH = 100
"""Maximum number of containers that are removed together.

Removing many containers together needs as many transactions and kernel requests as removing one. The number is limited,
because the kernel locks its list of links while it deletes the links of all these containers.
"""


def remove(host: Host, container_id: str, *, force: bool) -> None:
    """Remove a container with its endpoints, ports and files.

    Raises NotFound if the container does not exist. Without ``force``, raises Conflict if the container runs or waits
    for an automatic restart.
    """
    for error in remove_each(host, [container_id], force=force):
        if error is not None:
            raise error


def remove_each(host: Host, references: Iterable[str], *, force: bool) -> Iterator[EngineError | None]:
    """Remove containers with their endpoints, ports and files, up to `BUNCH` containers at once.

    For each reference, in order, yields None after the removal of the container, or the error. The error is NotFound if
    the container does not exist. Without ``force``, the error is Conflict if the container runs or waits for an
    automatic restart.
    """
    left = deque(references)
    while left:
        outcomes = _next_bunch(host, left)
        ids = [outcome for outcome in outcomes if isinstance(outcome, str)]
        try:
            errors = _remove_bunch(host, ids, force=force) if ids else {}
        except EngineError as error:
            errors = dict.fromkeys(ids, error)
        yield from (errors.get(outcome) if isinstance(outcome, str) else outcome for outcome in outcomes)


def _next_bunch(host: Host, left: deque[str]) -> list[str | EngineError]:
    """Take up to `BUNCH` references from the start of ``left``; return a container id or an error for each of them.

    The result has an error if a reference matches no container or several containers. If two references name the same
    container, the second reference stays in ``left``. The next call returns an error for it, because the caller has
    removed the container before that call.
    """
    outcomes: list[str | EngineError] = []
    with host.store.read() as reader:
        while left and len(outcomes) < BUNCH:
            outcome: str | EngineError
            try:
                outcome = lookup.find(reader, left[0]).id
            except EngineError as error:
                outcome = error
            if outcome in outcomes:
                break
            outcomes.append(outcome)
            left.popleft()
    return outcomes


def _remove_bunch(host: Host, ids: Sequence[str], *, force: bool) -> dict[str, EngineError]:
    """Remove the containers with these ids; return the errors by container id."""
    errors = _under_locks(host, ids, lambda chosen: _remove_locked(host, chosen, force=force))
    announce(host)
    return errors


def _under_locks(
    host: Host, ids: Sequence[str], act: Callable[[Sequence[str]], dict[str, EngineError]]
) -> dict[str, EngineError]:
    """Call ``act`` with container ids while this command holds the containers' locks; return the errors by id.

    ``act`` is called once for all containers whose locks are free, and then once for each other container. Therefore no
    command waits for a lock while it holds another lock, and two commands never wait for each other.
    """
    with ExitStack() as held:
        free = [container_id for container_id in ids if _try_lock(host, container_id, held)]
        errors = act(free)
    for container_id in (busy for busy in ids if busy not in free):
        try:
            with locked(host.run, "container", container_id):
                errors |= act([container_id])
        except EngineError as error:
            errors[container_id] = error
    return errors


def _try_lock(host: Host, container_id: str, held: ExitStack) -> bool:
    """Take the container lock until ``held`` is closed; return False at once if another command has the lock."""
    try:
        held.enter_context(locked(host.run, "container", container_id, timeout=0))
    except Unavailable:
        return False
    return True


def _remove_locked(host: Host, ids: Sequence[str], *, force: bool) -> dict[str, EngineError]:
    """Remove containers; return the errors by container id. The caller holds the container locks."""
    errors: dict[str, EngineError] = {}
    records = []
    for container_id in ids:
        try:
            records.append(_removable(host, container_id, force=force))
        except EngineError as error:
            errors[container_id] = error
    if not records:
        return errors
    with host.store.write() as tx:
        for record in records:
            tx.put_container(replace(record, stopped_by_user=True))
            if record.status == "running" and record.kind == "process":
                events.killed(tx, record, signal.SIGKILL)
            begin_intent(tx, IntentKind.CONTAINER_REMOVE, record.id)
    for record in (record for record in records if record.status == "restarting"):
        host.runtime.cancel_restart(record.id)
    with ExitStack() as endings:
        for record in records:
            if record.status == "running":
                endings.enter_context(host.runtime.ending(record.id))
        errors |= _finish_removals(host, [record.id for record in records])
    return errors


def _removable(host: Host, container_id: str, *, force: bool) -> ContainerRecord:
    """Return the record of a container that may be removed.

    Raises NotFound if the container has no record. Without ``force``, raises Conflict if the container runs or waits
    for an automatic restart.
    """
    record = finalize_exit(host, container_id)
    if record is None:
        raise NotFound(f"No such container: {container_id}")
    _refuse_running(record, force)
    return record


def resume_removals(host: Host, ids: Sequence[str]) -> dict[str, EngineError]:
    """Finish the removals that killed commands have begun, up to `BUNCH` containers at once; idempotent.

    Takes the container locks. Returns the errors by container id.
    """
    errors: dict[str, EngineError] = {}
    for first in range(0, len(ids), BUNCH):
        errors |= _under_locks(host, ids[first : first + BUNCH], lambda chosen: _finish_removals(host, chosen))
    announce(host)
    return errors


def _finish_removals(host: Host, ids: Sequence[str]) -> dict[str, EngineError]:
    """Kill containers, release their endpoints and ports, and delete their records and files; idempotent.

    Also ends the intents of the removals. Returns the errors by container id; the intents of these containers stay. The
    caller holds the container locks.
    """
    for container_id in ids:
        host.runtime.signal(container_id, signal.SIGKILL)  # kill now: the processes end during the next steps
    with host.store.read() as reader:
        records = [record for record in map(reader.container, ids) if record is not None]
    for record in records:
        _leave_namespace(host, record)
    errors = reservation.release_all(host, records)
    done = [container_id for container_id in ids if container_id not in errors]
    for container_id in done:
        host.runtime.delete(container_id)
    for record in (record for record in records if record.id not in errors):
        close_sandbox(host, record)
        if record.kind == "process":
            end_orphan(record, signal.SIGKILL, None)
    directory.remove(host, done)
    with host.store.write() as tx:
        for container_id in done:
            _delete(tx, container_id)
            end_intent(tx, IntentKind.CONTAINER_RESTART, container_id)
            end_intent(tx, IntentKind.CONTAINER_REMOVE, container_id)
    return errors


def _leave_namespace(host: Host, record: ContainerRecord) -> None:
    """Disconnect an adopted namespace from all its networks.

    The namespace continues to exist, so hawse's interfaces in it must be deleted.
    """
    if record.kind == "adopted" and lookup.is_alive(record):
        members = reservation.memberships(host, record.id)
        for member in members:
            others = [m for m in members if m is not member]
            with suppress(EngineError):  # the next steps remove what remains
                reservation.release_endpoint(host, record, member, others, alive=True)


def _delete(tx: Transaction, container_id: str) -> None:
    """Delete a container's record and add the event "destroy"; if the container was running, first add "die"."""
    record = tx.container(container_id)
    tx.delete_container(container_id)
    if record is None or record.kind != "process":
        return
    if record.status == "running":
        events.died(tx, replace(record, exit_code=events.KILLED, finished_at=timestamps.now()))
    events.container(tx, record, "destroy")


def _refuse_running(record: ContainerRecord, force: bool) -> None:
    if record.status in ("running", "restarting") and not force:
        refusal = Conflict(
            f'cannot remove container "/{record.name}": container is {record.status}: '
            "stop the container before removing or force remove"
        )
        raise hinted(refusal, DISCONNECT if record.kind == "adopted" else "")


def prune(host: Host, filters: Filters) -> tuple[list[str], int]:
    """Remove all stopped containers that match the filters.

    Return the ids of the removed containers, and the number of bytes that the removed files occupied.
    """
    check_prune(filters)
    with host.store.read() as reader:
        stopped = [
            c for c in reader.containers() if lookup.with_actual_state(host, c).status in ("created", "exited", "dead")
        ]
    sizes = {r.id: directory.size(host, r.id) for r in stopped if container_prunable(r, filters)}
    removed, reclaimed = [], 0
    for (container_id, size), error in zip(sizes.items(), remove_each(host, sizes, force=False), strict=True):
        if error is None:
            removed.append(container_id)
            reclaimed += size
        elif not isinstance(error, (Conflict, NotFound)):
            raise error
    events.alone(host.store, lambda tx: events.pruned(tx, "container", reclaimed))
    return removed, reclaimed


def is_orphan(host: Host, record: ContainerRecord) -> bool:
    """Return whether the container's process still runs, although the supervisor does not know it."""
    return record.kind == "process" and lookup.is_alive(record) and not host.runtime.knows(record.id)


def end_orphan(record: ContainerRecord, number: int, timeout: float | None) -> None:
    """Send the signal ``number`` to a process that the runtime does not know, and wait until the process ends.

    If the process is still running after ``timeout`` seconds, SIGKILL is sent. If ``timeout`` is None, SIGKILL is
    never sent, and the wait has no limit. The wait after SIGKILL ends after `KILLED_TIMEOUT_SECONDS`. No effect if the
    process has already ended.
    """
    pidfd = process.open_pidfd(record.pid, record.pid_start)
    if pidfd is None:
        return
    try:
        for each, seconds in ((number, timeout), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, each)
            limit = KILLED_TIMEOUT_SECONDS if each == signal.SIGKILL else seconds
            if wait_readable([pidfd], seconds=limit):
                return
    finally:
        os.close(pidfd)
