"""Return the JSON documents that describe containers, with their actual state."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from engine.api import Documents, Json
from engine.containers import directory as files
from engine.containers import etc_files, lookup
from engine.containers.process_spec import log_path
from engine.endpoints.links import link_names
from engine.filters.containers import filter_containers
from engine.host import Host
from engine.images.reference import find as find_image
from engine.model import ContainerRecord, EndpointRecord, Filters, ImageRecord, NetworkRecord, live_by_container
from engine.render.container import NO_SIZES, ContainerFiles, container_document, container_summary
from engine.render.endpoint import listed_networks_document
from engine.store.api import Reader
from engine.validate.logging import JSON_FILE


def inspect(host: Host, reference: str, *, size: bool = False) -> Json:
    """Return the document of GET /containers/{id}/json; with ``size``, it contains the container's disk usage."""
    with host.store.read() as reader:
        record = lookup.find(reader, reference)
        endpoints, networks = _network_side(reader, record)
    lookup.keep_supervisor(host, [record])
    record = lookup.with_actual_state(host, record)
    live = endpoints if record.status == "running" else []
    sizes = _sizes(host, record) if size else NO_SIZES
    return container_document(record, live, networks, _files(host, record), sizes=sizes)


class Shown(NamedTuple):
    """The choice of optional parts for each document in a list of containers: disk usage (``size``) and ``networks``.

    For many containers, it takes long to determine these parts.
    """

    size: bool = False
    networks: bool = True


def list_documents(host: Host, filters: Filters, *, everything: bool, limit: int, shown: Shown) -> Documents:
    """Return the documents of GET /containers/json, newest first.

    Only running containers are listed, unless ``everything``, a ``limit`` above 0 or a ``status`` filter is given. A
    ``limit`` above 0 is the maximum number of documents. ``shown`` says which optional parts the documents have.
    """
    with host.store.read() as reader:
        stored = reader.containers()
        lookup.keep_supervisor(host, stored)
        records = [lookup.with_actual_state(host, r) for r in reversed(stored)]
        endpoints, networks = _live_endpoints(reader)
        linked = link_names(reader, records)
        images = reader.images()
    records = _with_current_images(images, records)
    filters = _with_image_ids(images, filters)
    sides = {r.id: (endpoints.get(r.id, []), networks) for r in records}
    chosen = filter_containers(records, sides, filters, everything=everything or limit > 0)
    if limit > 0:
        chosen = chosen[:limit]
    return [_summary(host, r, *sides[r.id], linked.get(r.id, ()), shown) for r in chosen]


def gateway_priorities(host: Host, container_ids: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
    """Return the gateway priorities that are not 0, as {container id: {network name: priority}}."""
    with host.store.read() as reader:
        records = [record for i in container_ids if (record := reader.container(i)) is not None]
    priorities = {r.id: {a.network: a.settings.gw_priority for a in r.attachments} for r in records}
    return {container: {n: p for n, p in networks.items() if p} for container, networks in priorities.items()}


def _with_current_images(images: Sequence[ImageRecord], records: Sequence[ContainerRecord]) -> list[ContainerRecord]:
    """Replace the name of a container's image by the image's id if the name no longer means this image.

    Docker lists containers in this way after `rmi NAME`, or after another image got the name.
    """
    typed = {record.config.image for record in records if record.image_id}
    meant = {name: image.id for name in typed if (image := find_image(images, name)[0])}
    return [
        replace(record, config=replace(record.config, image=record.image_id))
        if record.image_id and meant.get(record.config.image) != record.image_id
        else record
        for record in records
    ]


def _with_image_ids(images: Sequence[ImageRecord], filters: Filters) -> Filters:
    """Replace the image names of the filter ``ancestor`` by the images' ids.

    The filter then also finds the containers that were created with another name of the image. Other values stay,
    because a container may be on ``hostfs`` or on a directory.
    """
    ancestors = filters.get("ancestor", ())
    ids = ((find_image(images, name)[0], name) for name in ancestors)
    return {**filters, "ancestor": tuple(image.id if image else name for image, name in ids)} if ancestors else filters


def _live_endpoints(reader: Reader) -> tuple[dict[str, list[EndpointRecord]], dict[str, NetworkRecord]]:
    """Return two dicts: each container's endpoints that are in a sandbox, and the networks of these endpoints.

    The keys of the first dict are container ids, and those of the second dict are network ids.
    """
    endpoints = live_by_container(reader.endpoints())
    ids = {endpoint.network_id for of_container in endpoints.values() for endpoint in of_container}
    return endpoints, {i: n for i in ids if (n := reader.network(i)) is not None}


def _summary(
    host: Host,
    record: ContainerRecord,
    endpoints: list[EndpointRecord],
    networks: dict[str, NetworkRecord],
    linked: Sequence[str],
    shown: Shown,
) -> Json:
    live = endpoints if record.status == "running" else []
    listed = listed_networks_document(record, live) if shown.networks else {}
    sizes = _sizes(host, record) if shown.size else NO_SIZES
    return container_summary(record, live, networks, listed, now=time.time(), link_names=linked, sizes=sizes)


def _sizes(host: Host, record: ContainerRecord) -> Mapping[str, int]:
    """Return two sizes in bytes by their keys in Docker's document.

    "SizeRw" is the size of the files that the container has written. "SizeRootFs" also includes the size of the image.
    The function reads the whole writable layer, so callers use the function only if the user asks for sizes.
    """
    written = files.size(host, record.id)
    with host.store.read() as reader:
        image = reader.image(record.image_id)
    return {"SizeRw": written, "SizeRootFs": written + (image.size if image else 0)}


def _network_side(reader: Reader, record: ContainerRecord) -> tuple[list[EndpointRecord], dict[str, NetworkRecord]]:
    endpoints = [e for e in reader.endpoints(container_id=record.id) if e.phase == "live"]
    ids = {e.network_id for e in endpoints} | {a.network_id for a in record.attachments if a.network_id}
    networks = {i: n for i in ids if (n := reader.network(i)) is not None}
    return endpoints, networks


def _files(host: Host, record: ContainerRecord) -> ContainerFiles:
    layers = _layers(host, record)
    if record.kind == "adopted" or not record.sandbox_id:
        return ContainerFiles(layers=layers)
    paths = etc_files.shown_paths(host, record)
    return ContainerFiles(
        resolv_conf=paths["/etc/resolv.conf"],
        hostname=paths["/etc/hostname"],
        hosts=paths["/etc/hosts"],
        log=log_path(host, record) if record.host.log_driver in ("", JSON_FILE) else "",
        layers=layers,
    )


def _layers(host: Host, record: ContainerRecord) -> dict[str, str] | None:
    """Return the directories of the container's overlayfs, or None for a container without image.

    The keys are Docker's names for the directories: LowerDir, MergedDir, UpperDir and WorkDir.
    """
    if not record.image_id:
        return None
    layer = host.directory_of(record.id) / "layer"
    return {
        "LowerDir": str(host.root / "images" / record.image_id.removeprefix("sha256:") / "rootfs"),
        "MergedDir": str(host.run / "containers" / record.id / "rootfs"),
        "UpperDir": str(layer / "upper"),
        "WorkDir": str(layer / "work"),
    }
