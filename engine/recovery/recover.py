"""Restore a consistent state of the host after a killed command, and after a reboot.

The function `recover` runs before every command that changes something. If the host is in a consistent state, `recover`
needs only one query for abandoned intents and one comparison of the boot id.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from drivers import firewall
from drivers.api import Repairer
from drivers.linux import host as linux_host
from drivers.linux import process
from engine import dispatch, intents
from engine.agent.client import announce, keep_agent
from engine.cluster import network_hooks
from engine.containers import connect, on_exit, remove, start
from engine.dispatch import network_spec, translate_driver_errors
from engine.endpoints import shared_state
from engine.endpoints.shared_state import BOOT
from engine.errors import EngineError
from engine.host import Host
from engine.intents import IntentKind
from engine.model import ContainerRecord
from engine.networks import activate, predefined
from engine.paths import make_private_directory, open_private
from engine.store.api import Intent, Reader, Transaction
from engine.store.locks import lock_open_file, locked

RESOLVERS: dict[str, intents.Resolver] = {
    IntentKind.NETWORK_CREATE: activate.destroy,
    IntentKind.NETWORK_REMOVE: activate.destroy,
    IntentKind.NETWORK_ACTIVATE: activate.delete_planned,
    IntentKind.ENDPOINT_CHANGE: connect.rollback,
    IntentKind.SANDBOX_CHANGE: connect.resync_routes_and_ports,
    IntentKind.CONTAINER_START: start.rollback,
    IntentKind.CONTAINER_REMOVE: remove.resume_removal,
    IntentKind.CONTAINER_RESTART: on_exit.restart_now,
}
"""The function that resolves each kind of abandoned intent (a record of work whose process no longer runs). Creations
are undone, removals are finished, and automatic restarts that did not happen are done.
"""

UNDER_LOCK = (IntentKind.ENDPOINT_CHANGE, IntentKind.SANDBOX_CHANGE, IntentKind.CONTAINER_START)
"""The kinds of intents for which `resolve_intents` takes the container lock before it calls the resolver. For any other
kind, the resolver takes the necessary locks itself.
"""

RESTARTED_AT_BOOT = ("always", "unless-stopped")


def recover(host: Host) -> None:
    """Resolve the intents of killed commands, and restore what a reboot removed.

    Also repairs kernel state that networks share. A hawse process normally handles the end of a container's process. If
    it has not done so in time, this function handles the end by `finish_overdue_exit`.
    """
    with host.store.read() as reader:
        begun, known, drivers = reader.intents(), reader.meta(BOOT), _drivers(reader)
    abandoned = intents.orphaned(begun)
    restarts = [intent for intent in abandoned if intent.kind == IntentKind.CONTAINER_RESTART]
    resolve_intents(host, [intent for intent in abandoned if intent.kind != IntentKind.CONTAINER_RESTART])
    booted = known != linux_host.boot_identity()
    if booted:
        after_boot(host)
    repair(host, None if booted or abandoned else drivers, whole=not abandoned)
    resolve_intents(host, restarts)  # restarts come last, because a start needs the repaired host
    for container_id in host.runtime.overdue():
        with contextlib.suppress(EngineError):  # after an error, the next command tries again
            on_exit.finish_overdue_exit(host, container_id)


def _drivers(reader: Reader) -> set[str]:
    return reader.drivers_in_use() if reader.meta(predefined.MARK) else set()


def repair(host: Host, drivers: Collection[str] | None = None, *, whole: bool = True) -> None:
    """Repair the kernel state that all networks of a driver share, such as a flushed firewall table.

    ``drivers`` are the types of the drivers in use; if None, the types are read from the store. If ``whole`` is true,
    only drivers that report damage are repaired. If ``whole`` is false, the state of every driver is compared with the
    records and repaired. Callers pass false if a killed command may have changed only a part of the shared state.
    """
    if drivers is None:
        with host.store.read() as reader:
            drivers = _drivers(reader)
    for driver in map(host.driver, sorted(drivers)):
        keep_agent(host, driver)
        if isinstance(driver, Repairer) and (not whole or driver.needs_repair()):
            # Hold a write transaction during the comparison and the repair, because another command must not create or
            # remove a network or an endpoint between the comparison and the repair.
            with host.store.write() as tx, translate_driver_errors():
                desired = shared_state.of(tx, driver.type)
                driver.repair(desired, driver.compare(desired))
            announce(host)


def resolve_intents(host: Host, abandoned: Sequence[Intent]) -> None:
    """Finish or undo the work of processes that no longer run.

    ``abandoned`` are the intents of these processes. If resolving an intent fails, the intent stays in the store for
    the next command.
    """
    for intent in abandoned:
        with contextlib.suppress(EngineError), _container_lock(host, intent):
            with host.store.read() as reader:
                if intent not in reader.intents():
                    continue  # another command has resolved the intent, and may have begun other work on the object
            RESOLVERS[intent.kind](host, intent.object_id)
            with host.store.write() as tx:
                intents.end(tx, intent.kind, intent.object_id)


def _container_lock(host: Host, intent: Intent) -> contextlib.AbstractContextManager[None]:
    """Return a context that holds the container lock under which an intent is resolved.

    If the intent needs no lock, the context does nothing.
    """
    if intent.kind not in UNDER_LOCK:
        return contextlib.nullcontext()
    container_id = intent.object_id
    if intent.kind == IntentKind.ENDPOINT_CHANGE:
        with host.store.read() as reader:
            endpoint = reader.endpoint(intent.object_id)
        if endpoint is None:
            return contextlib.nullcontext()
        container_id = endpoint.container_id
    return locked(host.run, "container", container_id)


def after_boot(host: Host) -> None:
    """Discard the recorded kernel state of the last boot, create the networks again, and restart the containers whose
    restart policy requires a restart.
    """
    with host.store.write() as tx:
        if tx.meta(BOOT) == linux_host.boot_identity():
            return
        fresh = tx.meta(BOOT) is None
        tx.set_meta(BOOT, linux_host.boot_identity())
        dispatch.clear_driver_state(tx)
        if fresh:
            return
        live = [n for n in tx.networks() if n.phase == "live" and not n.config_only]
        for network in live:
            tx.put_network(replace(network, phase="planned"))
        planned = [n.id for n in live if n.scope != "swarm"]  # cluster networks are created later, at their first use
        stale = [c for c in tx.containers() if c.status in ("running", "restarting")]
        for record in stale:
            _record_end(tx, record)
        noted = [i for i in tx.intents() if i.owner == process.identity()]
    network_hooks.wait_for_store(host)
    resolve_intents(host, [intent for intent in noted if intent.kind != IntentKind.CONTAINER_RESTART])
    for network_id in planned:
        with contextlib.suppress(EngineError):
            activate.activate(host, network_id)
    resolve_intents(host, [intent for intent in noted if intent.kind == IntentKind.CONTAINER_RESTART])


def _record_end(tx: Transaction, record: ContainerRecord) -> None:
    """Record that a container's run ended with the last boot.

    Also begins an intent to release the container's endpoints, or an intent to remove the container if it was started
    with --rm. If the restart policy requires another run, begins an intent for the restart too.
    """
    again = record.kind == "process" and record.host.restart_policy.name in RESTARTED_AT_BOOT
    status = "restarting" if again else "exited"
    tx.put_container(replace(record, status=status, pid=0, exit_code=255, sandbox_path=""))
    intents.begin(tx, IntentKind.CONTAINER_REMOVE if record.host.auto_remove else IntentKind.CONTAINER_START, record.id)
    if again:
        intents.begin(tx, IntentKind.CONTAINER_RESTART, record.id)


DELAY = 1.0
"""Seconds between the end of a command and the removal of kernel state that is not needed, such as the default bridge.
The state is removed only if the host has no custom networks and no containers.
"""


_held: dict[Path, int] = {}


def hold_shared_lock(host: Host) -> None:
    """Take the host lock in shared mode and hold it until this process ends, so that no process runs
    `remove_idle_state` meanwhile.
    """
    path = host.run / "locks" / "host"
    if path not in _held:
        make_private_directory(path.parent)
        descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        try:
            lock_open_file(descriptor, "the host", shared=True)
        except EngineError:
            os.close(descriptor)
            raise
        _held[path] = descriptor


def schedule_cleanup(host: Host) -> None:
    """Start a process that runs `remove_idle_state` after `DELAY` seconds, if the host is unused.

    A host is unused if it has no custom networks, no containers and no intents.
    """
    with host.store.read() as reader:
        if not _is_unused(reader):
            return
    if os.fork() == 0:
        _detach()
        time.sleep(DELAY)
        with contextlib.suppress(Exception):
            remove_idle_state(host)
        os._exit(0)


def _detach() -> None:
    """Make this process independent of the command: start a new session, change the parent process, and give up
    terminal, output and host lock.
    """
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


def remove_idle_state(host: Host) -> None:
    """Remove the default bridge and the firewall table, and disable IP forwarding if hawse enabled it.

    Does nothing if the host has custom networks, containers or intents, or if another command holds the host lock.
    """
    descriptor = open_private(host.run / "locks" / "host", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with host.store.write() as tx:
            if not _is_unused(tx):
                return
            made = [n for n in tx.networks() if n.predefined and n.driver == "bridge" and n.phase == "live"]
            for network in made:
                tx.put_network(replace(network, phase="planned"))
                intents.begin(tx, IntentKind.NETWORK_ACTIVATE, network.id)
            dispatch.clear_driver_state(tx)
        for network in made:
            with translate_driver_errors():
                host.driver(network.driver).delete_network(network_spec(network))
            with host.store.write() as tx:
                intents.end(tx, IntentKind.NETWORK_ACTIVATE, network.id)
        firewall.teardown()
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _is_unused(reader: Reader) -> bool:
    return not (reader.has_custom_networks() or reader.has_containers() or reader.intents())
