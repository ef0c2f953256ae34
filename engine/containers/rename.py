"""Rename a container in the store and in DNS."""

from __future__ import annotations

from msgspec.structs import replace

from engine.agent.client import announce
from engine.containers import lookup, sandbox_links
from engine.endpoints import links
from engine.events import record as events
from engine.host import Host, attachment_of, begin_intent, end_intent
from engine.model import ContainerRecord
from engine.names import served_names
from engine.store.api import IntentKind, Taken
from engine.store.locks import locked
from engine.validate.rename import check_rename, check_rename_not_empty, rename_conflict


def rename(host: Host, reference: str, name: str) -> None:
    """Rename a container to ``name``; its DNS names on all networks change in the same transaction.

    Links of other containers to this container are updated too. Raises Conflict if the name is taken.
    """
    check_rename_not_empty(name)
    container_id = lookup.resolve(host, reference).id
    with locked(host.run, "container", container_id):
        try:
            with host.store.write() as tx:
                before = lookup.find(tx, container_id)
                new = check_rename(before, name)
                record = replace(before, name=new)
                tx.put_container(record)
                events.container(tx, record, "rename", {"oldName": f"/{before.name}"})
                for other in tx.containers():
                    if (linked := links.renamed(tx, other, before, new)) is not other:
                        tx.put_container(linked, relink=True)
                for endpoint in tx.endpoints(container_id=record.id):
                    if not endpoint.names:
                        continue  # the endpoint on docker_gwbridge has no names
                    settings = attachment_of(record, endpoint.network_id).settings
                    tx.put_endpoint(replace(endpoint, names=tuple(served_names(record, settings))))
                if record.kind == "process":
                    begin_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
        except Taken as error:
            raise rename_conflict(new, error.holder) from error
        if record.kind == "process":
            _rename_sandbox(host, record, before)
    announce(host)


def _rename_sandbox(host: Host, record: ContainerRecord, before: ContainerRecord) -> None:
    if lookup.is_running(host, record):
        sandbox_links.add(host, record)
    sandbox_links.remove(host, replace(record, name=before.name))
    with host.store.write() as tx:
        end_intent(tx, IntentKind.SANDBOX_CHANGE, record.id)
