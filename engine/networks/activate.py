"""Create and remove the kernel objects of networks."""

from __future__ import annotations

from dataclasses import replace

from drivers.linux.host import interface_exists
from engine import dispatch, intents
from engine.agent.client import keep_agent
from engine.cluster import network_hooks
from engine.dispatch import network_spec, translate_driver_errors
from engine.errors import NotFound
from engine.host import Host
from engine.intents import IntentKind
from engine.model import NetworkRecord
from engine.networks.query import find
from engine.store.locks import forget, locked


def destroy(host: Host, network_id: str) -> None:
    """Remove a network's kernel objects, record and intents; idempotent.

    Also removes a network whose creation was interrupted.
    """
    with host.store.read() as reader:
        record = reader.network(network_id)
    if record is None:
        return
    with translate_driver_errors():
        host.driver(record.driver).delete_network(network_spec(record))
    with host.store.write() as tx:
        tx.delete_network(network_id)
        for kind in (IntentKind.NETWORK_CREATE, IntentKind.NETWORK_REMOVE):
            intents.end(tx, kind, network_id)


def activate(host: Host, network_id: str) -> NetworkRecord:
    """Create the kernel objects of a planned network and return its record; no effect if the network is not planned.

    A planned network is recorded, but does not exist in the kernel yet. The default bridge is planned before its first
    use, and all networks are planned after a reboot. Takes the network lock.
    """
    with host.store.read() as reader:
        record = reader.network(network_id)
    assert record is not None
    if record.phase != "planned":
        return record
    with locked(host.run, "network", network_id):
        record = _create_planned(host, record)
        forget(host.run, "network", network_id)
    network_hooks.after_activate(host, record)
    return record


def _check_users_bridge(host: Host, record: NetworkRecord) -> None:
    """Raise NotFound if the bridge that daemon.json names for the default network is missing."""
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
        record = find(tx, record.id)
        if record.phase != "planned":
            return record  # another command has created the network in the meantime
        intents.begin(tx, IntentKind.NETWORK_ACTIVATE, record.id)
    with translate_driver_errors():
        driver.create_network(network_spec(record))
    record = replace(record, phase="live")
    with host.store.write() as tx:
        dispatch.save_driver_state(tx, driver)
        tx.put_network(record)
        intents.end(tx, IntentKind.NETWORK_ACTIVATE, record.id)
    keep_agent(host, driver)
    return record


def delete_planned(host: Host, network_id: str) -> None:
    """Remove the kernel objects of a network whose phase is still "planned" (not in use); idempotent.

    Takes the network lock.
    """
    with locked(host.run, "network", network_id):
        with host.store.read() as reader:
            record = reader.network(network_id)
        if record is not None and record.phase == "planned":
            with translate_driver_errors():
                host.driver(record.driver).delete_network(network_spec(record))
        forget(host.run, "network", network_id)
