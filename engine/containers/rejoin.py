"""Connect an adopted network namespace to its networks again, after a boot or after its name was made again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from engine import intents
from engine.agent.client import announce
from engine.containers import adopted
from engine.containers.start import join_all, reserve_networks, rollback
from engine.endpoints import links, reservation, sandbox
from engine.errors import EngineError, NotFound
from engine.golang import timestamps
from engine.host import Host
from engine.intents import IntentKind
from engine.model import ContainerRecord
from engine.store.locks import locked


def rejoin_all(host: Host) -> None:
    """Connect each waiting namespace whose name exists again. Those that cannot be connected go on waiting."""
    with host.store.read() as reader:
        waiting = [record.id for record in reader.containers() if adopted.is_waiting(record)]
    for container_id in waiting:
        with suppress(EngineError):
            rejoin(host, container_id)


def rejoin(host: Host, container_id: str) -> None:
    """Connect a namespace to all its networks, with its ports and, if they are kept, its addresses; idempotent.

    Raises NotFound if no namespace has the name now, and Forbidden if the name now means a host's own namespace.
    """
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is None:
        raise NotFound(f"No such container: {container_id}")
    with (
        adopted.held(adopted.NAMED + record.sandbox_path, force=False) as place,
        locked(host.run, "container", container_id),
    ):
        with host.store.read() as reader:
            record = reader.container(container_id)
        if record is None or not adopted.is_waiting(record):
            return
        _join(host, replace(record, status="running", sandbox_inode=place.inode, pid_start=place.start))
    announce(host)


def _join(host: Host, record: ContainerRecord) -> None:
    reserved = reserve_networks(host, replace(record, started_at=timestamps.now()))
    with intents.rollback_on_error(host, IntentKind.CONTAINER_START, record.id, rollback):
        record = reserved.record
        members = join_all(host, record, reserved.members)
        sandbox.route(record, members)
        for member in members:
            sandbox.publish(host, record, member, member.endpoint.ports)
            links.open_links(host, record, member)
    with host.store.write() as tx:
        for member in members:
            reservation.record_joined(tx, record, member)
        tx.put_container(replace(record, next_interface=len(members)))
        intents.end(tx, IntentKind.CONTAINER_START, record.id)
    announce(host, [member.network for member in members])
