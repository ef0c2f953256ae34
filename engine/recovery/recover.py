"""Restore a consistent state of the host after a killed command, and after a reboot.

The function `recover` runs before every command that changes something. On a host in a consistent state, it only makes
fast checks: for abandoned intents, a reboot, a missing agent, damaged kernel state that networks share, and unrecorded
ends of containers. An intent is the record of work that a command has begun. The intent is abandoned if the process of
the command no longer runs. An adopted namespace is a network namespace that hawse connects to networks but did not
create.

The module also works after a command: `finish_in_background` deletes the kernel objects of many removed networks, and
`schedule_cleanup` removes the kernel state that an unused host does not need.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from drivers import firewall
from drivers.api import Repairer
from drivers.linux import host as linux_host
from drivers.linux import process, recording
from engine.agent.client import announce, keep_agent
from engine.cluster import hooks
from engine.containers import adopted, connect, on_exit, remove, start_failure
from engine.endpoints import shared_state
from engine.endpoints.boots import BOOT
from engine.errors import EngineError
from engine.events import repair as repairs
from engine.host import (
    Host,
    Resolver,
    begin_intent,
    clear_driver_state,
    end_intent,
    network_spec,
    orphaned_intents,
    translate_driver_errors,
    translate_failures,
)
from engine.model import BootReport, ContainerRecord
from engine.networks import activate, predefined
from engine.paths import make_private_directory, open_private
from engine.recovery import boot as after_boot
from engine.recovery import parallel, shutdown
from engine.recovery.parallel import Failure, Job
from engine.runtime.directory import CONTAINERS, ENDED
from engine.runtime.init import close_all_but, silence
from engine.store.api import Intent, IntentKind, Reader
from engine.store.locks import lock_open_file, locked

RESOLVERS: dict[str, Resolver] = {
    IntentKind.NETWORK_CREATE: activate.destroy,
    IntentKind.NETWORK_ACTIVATE: activate.delete_planned,
    IntentKind.ENDPOINT_CHANGE: connect.rollback,
    IntentKind.SANDBOX_CHANGE: connect.resync_routes_and_ports,
    IntentKind.CONTAINER_START: start_failure.rollback,
    IntentKind.CONTAINER_RESTART: after_boot.restart,
}
"""The function that resolves each kind of abandoned intent: it undoes a creation, or makes up for a missed restart."""

FINISHERS: dict[str, Callable[[Host, Sequence[str]], Mapping[str, EngineError]]] = {
    IntentKind.CONTAINER_REMOVE: remove.resume_removals,
    IntentKind.NETWORK_REMOVE: activate.destroy_all,
}
"""The function that finishes all removals of one kind together, because one killed command may have begun many. The
function returns the errors by object id.
"""

UNDER_LOCK = (IntentKind.ENDPOINT_CHANGE, IntentKind.SANDBOX_CHANGE, IntentKind.CONTAINER_START)
"""The kinds of intents for which `resolve_intents` takes the container lock before it calls the resolver. For any other
kind, the resolver takes the necessary locks itself.
"""

ENDINGS = (IntentKind.CONTAINER_START, IntentKind.CONTAINER_REMOVE)
"""The kinds of intents that are recorded after a boot for the containers whose runs the reboot has ended."""

ATTEMPT_INTERVAL_SECONDS = 0.5
"""Seconds between two attempts to start containers for which the cluster's store was unavailable."""

OVERDUE_SECONDS = 5.0
"""Seconds after a container's end within which ``on_exit`` must handle the end."""

STORE_PATIENCE_SECONDS = 15.0
"""Seconds for which the first command after a boot waits for the cluster's store."""


def recover(host: Host) -> None:
    """Finish or undo the work of killed commands, and restore the kernel objects that a reboot removed.

    Also repairs kernel state that networks share, and finishes the runs of containers that ended without a record of
    the end.
    """
    with host.store.read() as reader:
        begun, known, drivers = reader.intents(), reader.meta(BOOT), _drivers(reader)
    abandoned = orphaned_intents(begun)
    restarts = [intent for intent in abandoned if intent.kind == IntentKind.CONTAINER_RESTART]
    resolve_intents(host, [intent for intent in abandoned if intent.kind != IntentKind.CONTAINER_RESTART])
    booted = known != linux_host.boot_identity()
    if booted:
        after_boot.begin(host)
        _come_back(host, STORE_PATIENCE_SECONDS)
    cause = "the boot" if booted else "a killed command" if abandoned else ""
    repair(host, None if booted or abandoned else drivers, whole=not abandoned, cause=cause)
    resolve_intents(host, restarts)  # restarts come last, because a start needs a repaired host
    for container_id in _overdue(host):
        with contextlib.suppress(EngineError):  # ignore an error: the next command handles this container again
            on_exit.finish_overdue_exit(host, container_id)


def _overdue(host: Host) -> list[str]:
    """Return the ids of containers that ended over 5 s ago but still have files in HAWSE_RUN.

    After a container's end, the supervisor runs the command ``on_exit``, which deletes the files. If files remain, this
    command still runs, was killed, or could not run because its program was removed or moved.
    """
    limit, containers = time.time() - OVERDUE_SECONDS, os.path.join(host.run, CONTAINERS)
    try:
        entries = os.listdir(os.path.join(host.run, ENDED))
    except FileNotFoundError:
        return []
    return [each for each in entries if 0 < _time_of(os.path.join(containers, each, "exit")) < limit]


def _time_of(path: str) -> float:
    """Return the modification time of a file in seconds since 1970, or 0 if there is no such file."""
    try:
        return os.stat(path).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _drivers(reader: Reader) -> set[str]:
    return reader.drivers_in_use() if reader.meta(predefined.MARK) else set()


def repair(host: Host, drivers: Collection[str] | None = None, *, whole: bool = True, cause: str = "") -> None:
    """Repair the kernel state that all networks of a driver share, such as a flushed firewall table.

    Also starts the agent if it is missing.

    - ``drivers``: driver types; None means the types of all networks in the store
    - ``whole``: if True, a driver's state is compared with the records only if the driver's quick check
      (`needs_repair`) reports damage. If False, the state is always compared. Callers pass False after a killed
      command, because the quick check does not detect partial changes.
    - ``cause``: the cause that the repair's event names; "" means another program
    """
    if drivers is None:
        with host.store.read() as reader:
            drivers = _drivers(reader)
    for driver in map(host.driver, sorted(drivers)):
        keep_agent(host, driver)
        if isinstance(driver, Repairer) and (not whole or driver.needs_repair()):
            # Hold a write transaction, so that no command creates or removes networks or endpoints during the repair.
            with host.store.write() as tx, translate_driver_errors():
                desired = shared_state.of(tx, driver.type)
                differences = driver.compare(desired)
                driver.repair(desired, differences)
                damage = [difference for difference in differences if difference.is_damage]
                if damage:
                    repairs.add(tx, "driver", driver.type, cause, damage)
            announce(host)


def resolve_intents(host: Host, abandoned: Sequence[Intent]) -> None:
    """Finish or undo the work of processes that no longer run.

    ``abandoned`` are the intents of these processes. An intent that cannot be resolved stays in the store for the next
    command.
    """
    for intent in (intent for intent in abandoned if intent.kind in RESOLVERS):
        with contextlib.suppress(EngineError), translate_failures(()), _locks(host, intent):
            with host.store.read() as reader:
                if intent not in reader.intents():
                    continue  # another command has resolved the intent, and may have begun other work on the object
            RESOLVERS[intent.kind](host, intent.object_id)
            with host.store.write() as tx:
                end_intent(tx, intent.kind, intent.object_id)
    for kind, finish in FINISHERS.items():
        _finish(host, [intent for intent in abandoned if intent.kind == kind], finish)
    retired = [intent for intent in abandoned if intent.kind == IntentKind.NETWORK_RETIRE]
    if len(retired) < activate.BACKGROUND_REMOVAL_LIMIT:
        _finish(host, retired, activate.finish_retired)
    else:
        with host.store.write() as tx:
            for intent in retired:
                tx.put_intent(replace(intent, owner=process.identity()))
    if len(abandoned) >= activate.BACKGROUND_REMOVAL_LIMIT:
        finish_in_background(host, len(abandoned))


def _finish(
    host: Host, removals: Sequence[Intent], finish: Callable[[Host, Sequence[str]], Mapping[str, EngineError]]
) -> None:
    """Finish the removals of killed commands, and delete their intents from the store.

    ``removals`` are these intents. ``finish`` gets the ids of the objects to remove, and returns the errors by object
    id. An intent that the store no longer has is skipped, because another process has finished the work. After an
    error, the intent stays in the store.
    """
    if not removals:
        return
    with contextlib.suppress(EngineError), translate_failures(()):
        with host.store.read() as reader:
            begun = set(reader.intents())
        present = [intent for intent in removals if intent in begun]
        errors = finish(host, [intent.object_id for intent in present])
        with host.store.write() as tx:
            for intent in present:
                if intent.object_id not in errors:
                    end_intent(tx, intent.kind, intent.object_id)


@contextlib.contextmanager
def _locks(host: Host, intent: Intent) -> Iterator[None]:
    """Hold the locks under which an intent is resolved.

    The kinds in `UNDER_LOCK`, and changes of an endpoint, need the lock of their container. For all other kinds, no
    lock is taken here, because the function that resolves the intent takes the locks. For an adopted namespace, the
    lock of this namespace is taken before the container lock.
    """
    with contextlib.ExitStack() as held:
        container_id = intent.object_id if intent.kind in UNDER_LOCK else ""
        with host.store.read() as reader:
            if intent.kind == IntentKind.ENDPOINT_CHANGE:
                endpoint = reader.endpoint(intent.object_id)
                container_id = endpoint.container_id if endpoint is not None else ""
            record = reader.container(container_id)
        if record is not None and record.kind == "adopted":
            held.enter_context(adopted.locked_namespace(host.run, record.sandbox_inode))
        if container_id:
            held.enter_context(locked(host.run, "container", container_id))
        yield


def boot(host: Host, timeout: float) -> BootReport:
    """Restore networks and containers after a reboot of the host: ``hawse system boot``.

    - Also connects the adopted namespaces to their networks again.
    - The objects that need the cluster's store come last; waits up to ``timeout`` seconds for this store.
    - After a cancelled shutdown of the host, starts the containers that the shutdown ended.
    - A later call without another reboot continues the work of a killed process, and starts the containers that must
      run by their restart policies.
    """
    shutdown.cancel(host)
    after_boot.begin(host, again=True)
    recover(host)
    return _come_back(host, timeout)


def _come_back(host: Host, timeout: float) -> BootReport:
    """Create the recorded networks in the kernel, start the waiting containers, and connect adopted namespaces again.

    Each step restores its objects in parallel. A failure does not stop the other steps; the report names each failure.
    Waits up to ``timeout`` seconds for the cluster's store if a container needs it.
    """
    with host.store.read() as reader:
        ended = [i for i in reader.intents() if i.owner == process.identity() and i.kind in ENDINGS]
    plan = after_boot.plan(host)
    after_boot.load_drivers(host)
    networks = [Job(n.id, partial(activate.activate, host, n.id)) for n in plan.networks]
    failed = parallel.run([*(Job(i.object_id, partial(resolve_intents, host, [i])) for i in ended), *networks])
    failed |= parallel.run(after_boot.jobs(host, plan.soon))
    if plan.late:
        failed |= _start_late(host, plan.late, time.monotonic() + timeout)
    after_boot.give_up(host, [name for name, failure in failed.items() if failure.may_pass])
    return after_boot.report(plan, failed)


def _start_late(host: Host, late: Sequence[ContainerRecord], deadline: float) -> dict[str, Failure]:
    """Start the containers that need the cluster's store; try again until the deadline if the store is unavailable.

    ``deadline`` is a time of time.monotonic(). Returns the failures by container id.
    """
    failed: dict[str, Failure] = {}
    while late:
        hooks.wait_for_store(host, max(0.0, deadline - time.monotonic()))
        latest = parallel.run(after_boot.jobs(host, late))
        failed = {**{key: value for key, value in failed.items() if not value.may_pass}, **latest}
        late = [record for record in late if record.id in latest and latest[record.id].may_pass]
        if time.monotonic() >= deadline:
            break
        if late:
            time.sleep(ATTEMPT_INTERVAL_SECONDS)
    return failed


IDLE_DELAY_SECONDS = 1.0
"""Seconds between the end of a command and the removal of kernel state that is not needed, such as the default bridge.
The state is removed only if the host has no custom networks and no containers.
"""


_held: dict[Path, int] = {}


def _host_lock(host: Host) -> Path:
    return host.run / "locks" / "host"


def hold_shared_lock(host: Host) -> None:
    """Hold the host lock (a file in HAWSE_RUN) in shared mode until this process ends; idempotent.

    Every command that changes the host holds this lock. Meanwhile, `remove_idle_state` waits, because it needs the lock
    in exclusive mode.
    """
    path = _host_lock(host)
    if path not in _held:
        make_private_directory(path.parent)
        descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        try:
            lock_open_file(descriptor, "the host", shared=True)
        except EngineError:
            os.close(descriptor)
            raise
        _held[path] = descriptor


def finish_in_background(host: Host, removed: int) -> None:
    """Start a process that deletes the kernel objects which removed networks have left.

    ``removed`` is the number of these networks. Does nothing below `BACKGROUND_REMOVAL_LIMIT` networks, because then no
    kernel objects are left. Does nothing in a dry run either. The new process becomes the owner of the networks'
    intents. If it is killed, the next command deletes what remains.
    """
    if removed < activate.BACKGROUND_REMOVAL_LIMIT or recording.is_dry_run():
        return
    with host.store.read() as reader:
        identity = process.identity()
        left = [i for i in reader.intents() if i.kind == IntentKind.NETWORK_RETIRE and i.owner == identity]
    if not left:
        return
    ready, started = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        recording.stop()
        silence()
        close_all_but([ready, *_held.values()])
        os.read(ready, 1)  # returns when the parent has recorded this process as the owner of the intents
        with contextlib.suppress(Exception):
            identity = process.identity()
            for first in range(0, len(left), activate.BATCH_LIMIT):
                bunch = [replace(intent, owner=identity) for intent in left[first : first + activate.BATCH_LIMIT]]
                _finish(host, bunch, activate.finish_retired)
            schedule_cleanup(host)
        os._exit(0)
    with host.store.write() as tx:
        for intent in left:
            tx.put_intent(replace(intent, owner=process.identity_of(child)))
    os.close(ready)
    os.close(started)


def schedule_cleanup(host: Host) -> None:
    """Start a process that runs `remove_idle_state` after `IDLE_DELAY_SECONDS` seconds, if the host is unused.

    A host is unused if it has no custom networks, no containers and no intents. In a dry run, does nothing. If a later
    command starts another such process during the delay, the first process removes nothing.
    """
    if recording.is_dry_run():
        return
    with host.store.read() as reader:
        if not _is_unused(reader):
            return
    if os.fork() == 0:
        _detach()
        with contextlib.suppress(Exception):
            stamp, path = time.time_ns(), _host_lock(host)
            os.utime(path, ns=(stamp, stamp))
            time.sleep(IDLE_DELAY_SECONDS)
            if path.stat().st_mtime_ns == stamp:
                remove_idle_state(host)
        os._exit(0)


def _detach() -> None:
    """Make this process independent of the command.

    It gets a new session and another parent process, and gives up terminal, output and host lock.
    """
    os.setsid()
    if os.fork():
        os._exit(0)
    recording.stop()
    silence()
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


def remove_idle_state(host: Host) -> None:
    """Remove the default bridge and the firewall table, and disable IP forwarding if hawse enabled it.

    Waits until no other command holds the host lock; raises Unavailable after `LOCK_TIMEOUT_SECONDS`. Does nothing if
    the host has custom networks, containers or intents, before or after this wait.
    """
    with host.store.read() as reader:
        if not _is_unused(reader):
            return
    descriptor = open_private(_host_lock(host), os.O_RDWR)
    try:
        lock_open_file(descriptor, "the host")
        with host.store.write() as tx:
            if not _is_unused(tx):
                return
            made = [n for n in tx.networks() if n.predefined and n.driver == "bridge" and n.phase == "live"]
            for network in made:
                tx.put_network(replace(network, phase="planned"))
                begin_intent(tx, IntentKind.NETWORK_ACTIVATE, network.id)
            clear_driver_state(tx)
        for network in made:
            with translate_driver_errors():
                host.driver(network.driver).delete_network(network_spec(network))
            with host.store.write() as tx:
                end_intent(tx, IntentKind.NETWORK_ACTIVATE, network.id)
        firewall.teardown()
    finally:
        os.close(descriptor)


def _is_unused(reader: Reader) -> bool:
    return not (reader.has_custom_networks() or reader.has_containers() or reader.intents())
