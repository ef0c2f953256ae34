"""The fields of one container that ``ps`` and its templates show."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from cli.container.ports_column import displayed_ports
from cli.output.rows import FormatContext
from cli.output.text import ellipsis
from engine.errors import InvalidArgument
from engine.golang.strconv import quote
from engine.golang.units import human_duration, human_size
from engine.names import short_id
from engine.validate.image_reference import parse_reference

HEADER = {
    "ID": "CONTAINER ID", "Names": "NAMES", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED", "Ports": "PORTS", "State": "STATE", "Status": "STATUS", "Size": "SIZE",
    "Labels": "LABELS", "Mounts": "MOUNTS", "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS",
}  # fmt: skip
TYPE = "*formatter.ContainerContext"
COMMAND_WIDTH, MOUNT_WIDTH = 20, 15
Document = Mapping[str, Any]
"""One document from GET /containers/json."""
EMPTY: Document = {
    "Id": "", "Names": [], "Image": "", "ImageID": "", "Command": "", "Created": 0, "Labels": {}, "Ports": [],
    "State": "", "Status": "",
}  # fmt: skip


def row(container: Document, *, trunc: bool) -> FormatContext:
    """Return the fields of one container for a template; ``container`` is an item of the list of containers.

    With ``trunc``, ids, image names, commands and mounts are shortened, and the container's names from legacy links are
    left out.
    """
    labels: Mapping[str, str] = container["Labels"] or {}
    fields = {name: partial(read, container) for name, read in readers(trunc=trunc).items()}
    return FormatContext(TYPE, fields, lookups={"Label": lambda key: labels.get(key, "")})


def readers(*, trunc: bool) -> Mapping[str, Callable[[Document], str]]:
    """Return the functions that compute the fields of `row` from a container's document, by the field's name."""
    return {
        "Command": lambda c: quote(ellipsis(c["Command"], COMMAND_WIDTH) if trunc else c["Command"]),
        "CreatedAt": lambda c: moment(c["Created"]),
        "ID": lambda c: short_id(c["Id"]) if trunc else c["Id"],
        "Image": lambda c: image(c, trunc=trunc),
        "Labels": lambda c: ",".join(f"{key}={value}" for key, value in sorted((c["Labels"] or {}).items())),
        "LocalVolumes": lambda c: str(sum(mount.get("Driver") == "local" for mount in c.get("Mounts") or ())),
        "Mounts": lambda c: mounts(c, trunc=trunc),
        "Names": lambda c: names(c["Names"], trunc=trunc),
        "Networks": lambda c: ",".join(sorted((c.get("NetworkSettings") or {}).get("Networks") or {})),
        "Ports": lambda c: displayed_ports(c["Ports"] or ()),
        "RunningFor": lambda c: human_duration(time.time() - c["Created"]) + " ago",
        "Size": size,
        "State": itemgetter("State"),
        "Status": itemgetter("Status"),
    }


def empty_row(size_used: Callable[[], None]) -> FormatContext:
    """Return the row of a container without any settings, to test a template.

    Docker tests templates with the same row: the image is "<no image>", and the container was created in 1970.
    ``size_used`` is called if the template uses the size.
    """

    def read_size(container: Document) -> str:
        size_used()
        return size(container)

    fields = {name: partial(read, EMPTY) for name, read in {**readers(trunc=False), "Size": read_size}.items()}
    return FormatContext(TYPE, fields, lookups={"Label": lambda _: ""})


def moment(seconds: float) -> str:
    """Format a Unix time in seconds like Go's Time.String, in the local time zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z")


def image(container: Document, *, trunc: bool) -> str:
    """Return the name of a container's image, or "<no image>" if the document names none.

    With ``trunc``, an image id is shortened. A name gets its short form, without ``docker.io/library/`` and without a
    digest (``@sha256:...``).
    """
    name: str = container["Image"]
    if not name:
        return "<no image>"
    if not trunc:
        return name
    if container["ImageID"] and short_id(container["ImageID"]) == short_id(name):
        return short_id(name)
    try:
        reference = parse_reference(name)
    except InvalidArgument:
        return name
    return f"{reference.name}:{reference.tag}" if reference.tag else reference.name


def names(full_names: list[str], *, trunc: bool) -> str:
    """Return the names of a container, joined by commas and without their leading slashes.

    With ``trunc``, only the container's own name is returned, and the names that legacy links give to the container are
    left out.
    """
    plain = [name.removeprefix("/") for name in full_names]
    primary = [name for name in plain if "/" not in name]
    return ",".join(primary[:1] if trunc and primary else plain)


def mounts(container: Document, *, trunc: bool) -> str:
    """Return the names of the container's mounts, joined by commas; a mount without a name is shown by its source.

    With ``trunc``, each name has at most 15 characters.
    """
    sources = [mount.get("Name") or mount["Source"] for mount in container.get("Mounts") or ()]
    return ",".join(ellipsis(name, MOUNT_WIDTH) if trunc else name for name in sources)


def size(container: Document) -> str:
    """Return the sizes of a container as text, such as ``2B (virtual 7.8MB)``.

    The first size is that of the writable layer. The size of all layers is in brackets, and is left out if it is
    unknown.
    """
    writable, whole = container.get("SizeRw", 0), container.get("SizeRootFs", 0)
    return human_size(writable, 3) + (f" (virtual {human_size(whole, 3)})" if whole > 0 else "")
