"""Change the restart policy of a container."""

from __future__ import annotations

from msgspec.structs import replace

from engine.containers import lookup
from engine.errors import Conflict, InvalidArgument
from engine.events import record as events
from engine.host import Host
from engine.model import RestartPolicy
from engine.store.locks import locked
from engine.validate.container import check_restart_policy


def update(host: Host, reference: str, policy: RestartPolicy | None) -> None:
    """Give a container another restart policy, which applies from the end of its present run.

    If ``policy`` is None, only checks that the container may be updated, and adds the event "update". Raises errors
    with Docker's texts.
    """
    if policy is not None:
        check_restart_policy(policy)
    container = lookup.resolve_own(host, reference)
    with locked(host.run, "container", container.id), host.store.write() as tx:
        record = lookup.find(tx, container.id)
        if record.status in ("removing", "dead"):
            raise Conflict(
                f'Cannot update container {record.id}: container is marked for removal and cannot be "update"'
            )
        if policy is not None and record.host.auto_remove and policy.name != "no":
            raise InvalidArgument(
                f"Cannot update container {record.id}: Restart policy cannot be updated because AutoRemove is "
                "enabled for the container"
            )
        if policy is not None:
            record = replace(record, host=replace(record.host, restart_policy=policy))
            tx.put_container(record)
        events.container(tx, record, "update")
