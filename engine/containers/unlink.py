"""Remove a legacy link (``--link``) of a container on the default bridge."""

from __future__ import annotations

from msgspec.structs import replace

from engine.containers import etc_files, lookup
from engine.endpoints import links, reservation
from engine.errors import EngineError
from engine.host import Host
from engine.model import ContainerRecord
from engine.names import parse_link
from engine.store.locks import locked


def unlink(host: Host, reference: str) -> None:
    """Remove a link; the reference "web/db" means the link ``db`` of the container ``web``.

    The link's line is removed from the container's /etc/hosts. New connections that only the link allowed are refused.
    Raises NotFound if there is no such container or link, and EngineError if the reference names a container itself.
    """
    lookup.resolve(host, reference)
    name, slash, alias = reference.removeprefix("/").partition("/")
    if not slash:
        raise EngineError("Conflict, cannot remove the default link name of the container")
    container = lookup.resolve(host, name)
    with locked(host.run, "container", container.id):
        # Change the file before the record. If this command is killed in between, the user can repeat it, because the
        # record still has the link.
        etc_files.remove_link(host, container, alias)
        with host.store.write() as tx:
            before = lookup.find(tx, container.id)
            record = _without(before, alias)
            tx.put_container(record, relink=True)
        links.end_links(host, before, record, reservation.memberships(host, record.id))


def _without(record: ContainerRecord, alias: str) -> ContainerRecord:
    kept = tuple(text for text in record.host.links or () if parse_link(text)[1] != alias)
    return replace(record, host=replace(record.host, links=kept or None))
