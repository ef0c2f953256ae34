"""Create and remove the kernel objects of networks.

Before a change, a command records an intent in the store. If the command is killed, the next command reads the intent,
and finishes or undoes the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec.structs import replace

from drivers.api import BulkRemover
from drivers.linux.host import interface_exists
from drivers.model import NetworkSpec
from engine.agent.client import keep_agent
from engine.cluster import hooks
from engine.errors import EngineError, NotFound
from engine.events import record as events
from engine.host import Host, begin_intent, end_intent, network_spec, save_driver_state, translate_driver_errors
from engine.model import NetworkRecord
from engine.names import pick_network
from engine.store.api import IntentKind
from engine.store.locks import locked

BACKGROUND_REMOVAL_LIMIT = 50
"""If a command removes this number of networks or more, it does not wait until the kernel has deleted their links."""
BATCH_LIMIT = 8
"""Maximum number of networks whose links `finish_retired` deletes together.

The number is small because the kernel's list of links is locked during the deletion, and other programs would wait.
"""


def destroy(host: Host, network_id: str) -> None:
    """Remove a network's kernel objects, its record and its intents; idempotent.

    Also removes a network that was created only in part. Raises EngineError if the driver fails; the record then
    remains.
    """
    for error in destroy_all(host, [network_id]).values():
        raise error


def destroy_all(host: Host, ids: Sequence[str]) -> dict[str, EngineError]:
    """Remove the kernel objects, records and intents of networks, as `destroy` does; return the errors by network id.

    The networks of a driver that is a `BulkRemover` are removed together. If ``ids`` has `BACKGROUND_REMOVAL_LIMIT` or
    more networks of such a driver, these networks are only disabled: the driver stops their traffic. `finish_retired`
    deletes their kernel objects later.
    """
    by_driver: dict[str, list[NetworkRecord]] = {}
    with host.store.read() as reader:
        for record in filter(None, map(reader.network, ids)):
            by_driver.setdefault(record.driver, []).append(record)
    errors: dict[str, EngineError] = {}
    for driver, records in by_driver.items():
        if len(records) < BACKGROUND_REMOVAL_LIMIT or not _retire(host, driver, records):
            errors |= _delete_all(host, records)
    gone = [r for records in by_driver.values() for r in records if r.id not in errors]
    if gone:
        with host.store.write() as tx:
            for record in gone:
                # Record no event if the network was created only in part, or if another command has removed it.
                if record.phase != "creating" and tx.network(record.id) is not None:
                    events.network(tx, record, "destroy")
                tx.delete_network(record.id)
                for kind in (IntentKind.NETWORK_CREATE, IntentKind.NETWORK_REMOVE):
                    end_intent(tx, kind, record.id)
    return errors


def _retire(host: Host, type_name: str, records: Sequence[NetworkRecord]) -> bool:
    """Disable the networks ``records`` of one driver; return False if the driver ``type_name`` cannot do this.

    `finish_retired` deletes the remaining kernel objects later. For each network that has such objects, an intent is
    begun. The caller deletes the networks' records.
    """
    try:
        driver = host.driver(type_name)
        if not isinstance(driver, BulkRemover):
            return False
        with translate_driver_errors():
            remaining = driver.retire_networks([network_spec(record) for record in records])
    except EngineError:
        return False
    with host.store.write() as tx:
        for network_id in remaining:
            begin_intent(tx, IntentKind.NETWORK_RETIRE, f"{type_name}:{network_id}")
    return True


def finish_retired(host: Host, retired: Sequence[str]) -> dict[str, EngineError]:
    """Delete the kernel objects of networks that `destroy_all` has only disabled; return the errors; idempotent.

    Each item of ``retired`` has the form "driver:network id", as in the intents. The networks have no record any more.
    The result maps items to errors. The networks are deleted in batches of up to `BATCH_LIMIT`. If one deletion of a
    batch fails, all items of the batch get the error.
    """
    errors: dict[str, EngineError] = {}
    for first in range(0, len(retired), BATCH_LIMIT):
        bunch = retired[first : first + BATCH_LIMIT]
        try:
            for type_name, items in groupby(bunch, key=lambda item: item.partition(":")[0]):
                driver = host.driver(type_name)
                assert isinstance(driver, BulkRemover)
                with translate_driver_errors():
                    driver.delete_networks([NetworkSpec(item.partition(":")[2], "") for item in items])
        except EngineError as error:
            errors |= dict.fromkeys(bunch, error)
    return errors


def _delete_all(host: Host, records: Sequence[NetworkRecord]) -> dict[str, EngineError]:
    """Remove the kernel objects of networks of one driver; return the errors by network id.

    If removing all networks together fails, each network is removed on its own. The error of one network then does not
    affect another network.
    """
    try:
        driver = host.driver(records[0].driver)
        with translate_driver_errors():
            if isinstance(driver, BulkRemover) and len(records) > 1:
                driver.delete_networks([network_spec(record) for record in records])
                return {}
            if len(records) == 1:
                driver.delete_network(network_spec(records[0]))
                return {}
    except EngineError as error:
        if len(records) == 1:
            return {records[0].id: error}
    return {network_id: error for record in records for network_id, error in _delete_all(host, [record]).items()}


def activate(host: Host, network_id: str) -> NetworkRecord:
    """Create the kernel objects of a planned network and return its record; no effect if the network is not planned.

    A planned network is recorded, but does not exist in the kernel yet. The default bridge is planned before its first
    use, and all networks are planned after a reboot. Takes the network lock. Raises NotFound if another command has
    removed the network.
    """
    with host.store.read() as reader:
        record = reader.network(network_id)
    if record is None:
        raise NotFound(f"network {network_id} not found")
    if record.phase != "planned":
        return record
    with locked(host.run, "network", network_id):
        record = _create_planned(host, record)
    hooks.after_activate(host, record)
    return record


def _check_users_bridge(host: Host, record: NetworkRecord) -> None:
    """Check that the user's own bridge for the default network exists; raises NotFound if it does not.

    The key ``bridge`` of daemon.json names this bridge. Does nothing if ``record`` is not the default network, or if
    daemon.json names no bridge.
    """
    name = host.config.bridge
    if record.predefined and name and not interface_exists(name):
        raise NotFound(
            f'error creating default "bridge" network: bridge device with non default name {name} '
            f"must be created manually (ip link add {name} type bridge)"
        )


def _create_planned(host: Host, record: NetworkRecord) -> NetworkRecord:
    _check_users_bridge(host, record)
    driver = host.driver(record.driver)
    with host.store.write() as tx:
        record = pick_network(tx.find_networks(record.id), record.id)
        if record.phase != "planned":
            return record  # another command has created the network in the meantime
        begin_intent(tx, IntentKind.NETWORK_ACTIVATE, record.id)
    with translate_driver_errors():
        driver.create_network(network_spec(record))
    record = replace(record, phase="live")
    with host.store.write() as tx:
        save_driver_state(tx, driver)
        tx.put_network(record)
        end_intent(tx, IntentKind.NETWORK_ACTIVATE, record.id)
    keep_agent(host, driver)
    return record


def delete_planned(host: Host, network_id: str) -> None:
    """Remove the kernel objects of a network that is recorded, but not in use (phase "planned"); idempotent.

    Does nothing if the network has another phase or no record. Takes the network lock.
    """
    with locked(host.run, "network", network_id):
        with host.store.read() as reader:
            record = reader.network(network_id)
        if record is not None and record.phase == "planned":
            with translate_driver_errors():
                host.driver(record.driver).delete_network(network_spec(record))


def first_use_warnings(host: Host, references: Iterable[str]) -> list[str]:
    """Return warnings about other programs' settings that will stop the traffic of networks after their first use.

    ``references`` are names or ids of networks. Only networks that do not exist in the kernel yet are checked, such as
    the default bridge before its first use.
    """
    with host.store.read() as reader:
        named = [network for reference in references for network in reader.find_networks(reference)]
    return host.health_warnings([(n.driver, network_spec(n)) for n in named if n.phase == "planned"])
