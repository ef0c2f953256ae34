"""Giving a container another name, in the store and for everyone who asks the resolver."""

from __future__ import annotations

from dataclasses import replace

from engine import names
from engine.containers import lookup
from engine.endpoints import attachment_of, dns_names
from engine.errors import InvalidArgument
from engine.host import Host
from engine.locks import locked
from engine.names_service import announce
from engine.store.api import Taken


def rename(host: Host, reference: str, name: str) -> None:
    """Rename; the names on every network change with it at once."""
    found = lookup.resolve(host, reference)
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")
    new = names.check_container_name(name)
    if new == found.name:
        raise InvalidArgument("Renaming a container with the same name as its current name")
    with locked(host.run, "container", found.id):
        try:
            with host.store.write() as tx:
                record = replace(lookup.find(tx, found.id), name=new)
                tx.put_container(record)
                for endpoint in tx.endpoints(container_id=record.id):
                    settings = attachment_of(record, endpoint.network_id).settings
                    tx.put_endpoint(replace(endpoint, names=dns_names(record, settings)))
        except Taken as error:
            raise names.container_name_taken(new, error.holder) from error
    announce(host)
