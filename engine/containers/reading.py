"""Documents of containers as they are now."""

from __future__ import annotations

import time

from engine.api import Documents, Json
from engine.container_filters import filter_containers
from engine.containers import lookup
from engine.containers.process import log_path
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, Filters, NetworkRecord
from engine.render.container import ContainerFiles, container_document, container_summary
from engine.store.api import Reader


def inspect(host: Host, reference: str) -> Json:
    """One document of GET /containers/{id}/json."""
    with host.store.read() as reader:
        record = lookup.find(reader, reference)
        endpoints, networks = _network_side(reader, record)
    record = lookup.observed(host, record)
    live = endpoints if record.status == "running" else []
    return container_document(record, live, networks, _files(host, record))


def list_documents(host: Host, wanted: Filters, *, everything: bool, limit: int) -> Documents:
    """Documents of GET /containers/json, newest first."""
    with host.store.read() as reader:
        records = [lookup.observed(host, r) for r in reversed(reader.containers())]
        sides = {r.id: _network_side(reader, r) for r in records}
    chosen = filter_containers(records, sides, wanted, everything=everything or limit > 0)
    if limit > 0:
        chosen = chosen[:limit]
    return [_summary(r, *sides[r.id]) for r in chosen]


def _summary(record: ContainerRecord, endpoints: list[EndpointRecord], networks: dict[str, NetworkRecord]) -> Json:
    live = endpoints if record.status == "running" else []
    return container_summary(record, live, networks, now=time.time())


def _network_side(reader: Reader, record: ContainerRecord) -> tuple[list[EndpointRecord], dict[str, NetworkRecord]]:
    endpoints = [e for e in reader.endpoints(container_id=record.id) if e.phase == "live"]
    ids = {e.network_id for e in endpoints} | {a.network_id for a in record.attachments if a.network_id}
    networks = {i: n for i in ids if (n := reader.network(i)) is not None}
    return endpoints, networks


def _files(host: Host, record: ContainerRecord) -> ContainerFiles:
    if record.kind == "adopted" or record.started_at.startswith("0001"):
        return ContainerFiles()
    directory = host.root / "containers" / record.id
    return ContainerFiles(
        resolv_conf=str(directory / "resolv.conf"),
        hostname=str(directory / "hostname"),
        hosts=str(directory / "hosts"),
        log=str(log_path(host, record.id)),
    )
