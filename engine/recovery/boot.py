"""Record after a reboot which runs have ended, and which networks, containers and adopted namespaces to restore.

dockerd does the same at its start. An adopted namespace is a network namespace that hawse connects to networks but did
not create. `begin` records everything in one transaction, with an intent (a record of unfinished work) for each
container that must be started, removed or released. Therefore no work is lost if the process that restores the host is
killed: the next process finds the intents and continues.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from drivers.linux import process
from engine.containers import adopted, lookup, on_exit, port_assignment, rejoin, restart_policy
from engine.endpoints import boots, reservation
from engine.errors import EngineError, NotFound, Unavailable
from engine.events import record as events
from engine.host import Host, begin_intent, clear_driver_state, end_intent
from engine.model import BootReport, ContainerRecord, NetworkRecord
from engine.names import parse_link, shared_container
from engine.recovery.parallel import Failure, Job
from engine.store.api import IntentKind, Reader, Transaction


def begin(host: Host, *, again: bool = False) -> None:
    """Record that a reboot has ended all earlier runs, and which containers start now; idempotent.

    - The first call after a boot records the ends, and the containers to start.
    - A later call without ``again`` changes nothing.
    - A later call with ``again`` records the start of each container that does not run although its restart policy
      requires it. It also takes over the starts that a killed process has not finished.
    """
    with host.store.write() as tx:
        booted = not boots.is_of_this_boot(tx)
        known = tx.meta(boots.BOOT) is not None
        if booted:
            tx.set_meta(boots.BOOT, boots.identity())
            clear_driver_state(tx)
            port_assignment.forget_cursors(tx)
            for network in tx.networks():
                if known and network.phase == "live" and not network.config_only:
                    tx.put_network(replace(network, phase="planned"))
        if known and (booted or again):
            for record in tx.containers():
                _begin_container(tx, record, booted=booted)


def _begin_container(tx: Transaction, record: ContainerRecord, *, booted: bool) -> None:
    """Record the end of a container's run, and an intent for its next start or its removal.

    After a reboot (``booted``), some addresses and ports stay reserved. A container that starts again keeps them until
    its start. An adopted namespace keeps them until it is connected again.
    """
    ended = booted and record.status == "running"
    if ended:
        record = lookup.lost(record)
        if record.kind == "process":
            events.died(tx, record)
    starts = record.status == "restarting" or (record.status != "running" and restart_policy.starts_at_boot(record))
    if record.kind == "adopted":
        if ended:
            reservation.keep_for_next_run(tx, record.id)
            tx.put_container(record)
    elif ended and record.host.auto_remove:
        tx.put_container(replace(record, sandbox_path=""))
        begin_intent(tx, IntentKind.CONTAINER_REMOVE, record.id)
    elif starts and (booted or not _is_waited_for(tx, record)):
        # Without a reboot, only a start that was killed can have left endpoints. The rollback of its intent releases
        # these endpoints.
        if booted:
            reservation.keep_for_next_run(tx, record.id)
        tx.put_container(replace(record, status="restarting", restart_count=0, sandbox_path=""))
        begin_intent(tx, IntentKind.CONTAINER_RESTART, record.id)
    elif ended:
        tx.put_container(replace(record, sandbox_path=""))
        begin_intent(tx, IntentKind.CONTAINER_START, record.id)  # the intent's rollback releases the endpoints


def _is_waited_for(reader: Reader, record: ContainerRecord) -> bool:
    """Return whether a process waits for the end of a container's restart delay, to start the container then."""
    restarts = [i for i in reader.intents() if i.kind == IntentKind.CONTAINER_RESTART and i.object_id == record.id]
    return any(process.is_owner_running(intent.owner) for intent in restarts)


class Plan(Struct, frozen=True):
    """The objects to restore: networks that are not in the kernel yet, and containers.

    Adopted namespaces count as containers. A container is in ``late`` if its start needs the cluster's store, directly
    or because it needs another such container. All other containers are in ``soon``.
    """

    networks: Sequence[NetworkRecord]
    soon: Sequence[ContainerRecord]
    late: Sequence[ContainerRecord]


def plan(host: Host) -> Plan:
    """Return the objects to restore now.

    The default bridge is included only if a container uses it. Networks of the cluster are left out, because the start
    of a container restores the cluster networks that the container uses.
    """
    with host.store.read() as reader:
        records, networks = reader.containers(), reader.networks()
        restarts = {
            i.object_id for i in reader.intents() if i.kind == IntentKind.CONTAINER_RESTART and _is_ours(i.owner)
        }
        starting = [r for r in records if r.id in restarts or adopted.is_waiting(r)]
        needs = {r.id: set(_needed(reader, r)) for r in starting}
    used = {reference for record in records for reference in _references(record)}
    planned = [n for n in networks if n.phase == "planned" and n.scope == "local" and not n.config_only]
    local = {reference for n in networks if n.scope == "local" for reference in (n.id, n.name)}
    late = {r.id for r in starting if not _references(r) <= local}
    while more := {each for each, needed in needs.items() if needed & late} - late:
        late |= more
    return Plan(
        [n for n in planned if not n.predefined or used & {n.id, n.name}],
        [r for r in starting if r.id not in late],
        [r for r in starting if r.id in late],
    )


def load_drivers(host: Host) -> None:
    """Load the drivers of all networks in this process, so that the child processes it forks inherit them.

    Each child process restores one network or container. It is 0.1 s faster because it need not load drivers.
    """
    with host.store.read() as reader:
        names = {network.driver for network in reader.networks()}
    for name in names:
        with suppress(NotFound):
            host.driver(name)


def _is_ours(owner: str) -> bool:
    return owner == process.identity() or not process.is_owner_running(owner)


def _references(record: ContainerRecord) -> set[str]:
    """Return the id of each network that a container is on, or the network's name if the id is not known yet."""
    return {attachment.network_id or attachment.network for attachment in record.attachments}


def _needed(reader: Reader, record: ContainerRecord) -> list[str]:
    """Return the ids of the containers that must run before ``record`` can start.

    They are the owner of the sandbox that ``record`` shares, and the targets of its links.
    """
    names = [parse_link(text)[0] for text in record.host.links or ()]
    names += filter(None, [shared_container(record.host.network_mode)])
    return [match.id for name in names for match in reader.find_containers(name)]


def jobs(host: Host, records: Sequence[ContainerRecord]) -> list[Job]:
    """Return one job (for `engine.recovery.parallel.run`) for each record: the job starts the container again.

    For an adopted namespace, the job instead connects the namespace to its networks again. Each job names the jobs that
    must end before it starts.
    """
    with host.store.read() as reader:
        return [Job(r.id, partial(_bring_back, host, r), _needed(reader, r)) for r in records]


def _bring_back(host: Host, record: ContainerRecord) -> None:
    (rejoin.rejoin if record.kind == "adopted" else _attempt)(host, record.id)


def restart(host: Host, container_id: str) -> None:
    """Start a container that waits for its start; after any failure, the container no longer waits."""
    try:
        _attempt(host, container_id)
    except Unavailable:
        give_up(host, [container_id])
        raise


def _attempt(host: Host, container_id: str) -> None:
    """Try once to start a container that waits for its start.

    If something is temporarily unavailable, such as the cluster's store, the container continues to wait. After any
    other failure, its addresses and ports are released. Raises the error of the start in both cases.
    """
    try:
        on_exit.restart_now(host, container_id)
    except Unavailable:
        with host.store.write() as tx:
            record = tx.container(container_id)
            if record is not None and record.status == "exited":
                tx.put_container(replace(record, status="restarting"))
        raise
    except EngineError:
        with host.store.write() as tx:
            end_intent(tx, IntentKind.CONTAINER_RESTART, container_id)
            reservation.take_former(tx, container_id)
        raise


def give_up(host: Host, container_ids: Iterable[str]) -> None:
    """Record that containers no longer wait for their start. They keep their addresses and ports for a later start."""
    with host.store.write() as tx:
        for container_id in container_ids:
            record = tx.container(container_id)
            if record is not None and record.status == "restarting":
                tx.put_container(replace(record, status="exited"))
            end_intent(tx, IntentKind.CONTAINER_RESTART, container_id)


def report(plan: Plan, failed: Mapping[str, Failure]) -> BootReport:
    """Return the numbers of restored objects, and a line for each object that was not restored.

    ``failed`` has the reason for each object that was not restored, by id. A namespace that does not exist yet is not a
    failure: a later ``hawse system boot`` connects it.
    """
    records = [*plan.soon, *plan.late]
    absent = [r for r in records if r.kind == "adopted" and r.id in failed and not os.path.exists(r.sandbox_path)]
    done = [r for r in records if r.id not in failed]
    problems = [f"network {n.name}: {failed[n.id].text}" for n in plan.networks if n.id in failed]
    problems += [f"{_word(r)} {r.name}: {failed[r.id].text}" for r in records if r.id in failed and r not in absent]
    return BootReport(
        networks=sum(n.id not in failed for n in plan.networks),
        containers=sum(r.kind == "process" for r in done),
        namespaces=sum(r.kind == "adopted" for r in done),
        absent=[r.name for r in absent],
        problems=problems,
    )


def _word(record: ContainerRecord) -> str:
    return "namespace" if record.kind == "adopted" else "container"
