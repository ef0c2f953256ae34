"""Connect an adopted network namespace to its networks again, after a boot or when its name exists again."""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from engine import names
from engine.agent.client import announce
from engine.containers import adopted, etc_files, finalize
from engine.containers.start import join_all, reserve_networks
from engine.containers.start_failure import rollback
from engine.endpoints import links, reservation, sandbox
from engine.errors import EngineError, NotFound
from engine.golang import timestamps
from engine.host import Host, end_intent, rollback_on_error
from engine.model import ContainerRecord
from engine.runtime.adopted_namespace import has_certainly_ended
from engine.store.api import IntentKind
from engine.store.locks import locked


def follow_all(host: Host) -> None:
    """Record the end of each adopted namespace that has ended. Connect each waiting namespace whose name exists again.

    A namespace that cannot be connected continues to wait.
    """
    with host.store.read() as reader:
        records = reader.containers(adopted=True)
    for record in records:
        with suppress(EngineError):
            if adopted.is_waiting(record):
                rejoin(host, record.id)
            elif record.status == "running" and has_certainly_ended(record):
                with locked(host.run, "container", record.id):
                    finalize.finalize_exit(host, record.id)


def rejoin(host: Host, container_id: str) -> None:
    """Connect an adopted namespace to all its networks again, and publish its ports; idempotent.

    The namespace lost its networks at a boot and waits for its name. It gets its former addresses if they are still
    reserved for it. Raises NotFound if no namespace has the name now. Raises Forbidden if the name now means a host's
    own network namespace, such as that of PID 1.
    """
    with host.store.read() as reader:
        record = reader.container(container_id)
    if record is None:
        raise NotFound(f"No such container: {container_id}")
    with (
        adopted.held(host.run, adopted.reference_of(record), force=False) as namespace,
        locked(host.run, "container", container_id),
    ):
        with host.store.read() as reader:
            record = reader.container(container_id)
        if record is None or not adopted.is_waiting(record):
            return
        _join(host, replace(record, status="running", sandbox_inode=namespace.inode, pid_start=namespace.start))
    announce(host)


def _join(host: Host, record: ContainerRecord) -> None:
    reserved = reserve_networks(host, replace(record, started_at=timestamps.now()))
    with rollback_on_error(host, IntentKind.CONTAINER_START, record.id, rollback):
        record = reserved.record
        members = join_all(host, record, reserved.members)
        sandbox.route(record, members)
        etc_files.add_network(host, record, members)
        for member in members:
            sandbox.publish(host, record, member, member.endpoint.ports)
            links.open_links(host, record, member)
        with host.store.write() as tx:
            for member in members:
                reservation.record_joined(tx, record, member)
            tx.put_container(
                replace(record, next_interfaces=names.count_interfaces({}, *(m.network for m in members)), exit_code=0)
            )
            end_intent(tx, IntentKind.CONTAINER_START, record.id)
    announce(host, [member.network for member in members])
