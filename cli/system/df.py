"""The ``hawse system df`` command: the disk space that images and containers use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from cli.app import App
from cli.container.row import HEADER as CONTAINER_HEADER
from cli.container.row import row as container_row
from cli.image.ls import HEADER as IMAGE_HEADER
from cli.image.ls import rows_of
from cli.output.documents import LIST_FORMAT
from cli.output.listing import write_listing
from cli.output.rows import FormatContext
from cli.pflag import STRING, command, flag
from engine.golang.units import human_size

HEADER = {
    "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
}  # fmt: skip
TABLE = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
RAW = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n"
IMAGES = (
    "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t"
    "{{.Containers}}"
)
CONTAINERS = (
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"
)
ELIDED = ("SHARED SIZE", "UNIQUE SIZE", "LOCAL VOLUMES", "COMMAND", "CREATED", "IMAGE", "STATUS", "CONTAINERS")
NOTHING = """
Local Volumes space usage:

VOLUME NAME   LINKS     SIZE

Build cache usage: 0B

CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED
"""
RUNNING = ("running", "paused", "restarting")
Document = Mapping[str, Any]


@command("df [OPTIONS]", "Show hawse disk usage")
@flag("--format", kind=STRING, usage=LIST_FORMAT)
@flag("--verbose", "-v", usage="Show detailed information on space usage")
@click.pass_obj
def df(app: App, format: str, verbose: bool) -> None:
    """Print the numbers of images and containers, and the disk space that they use.

    With ``verbose``, print a line for each object. hawse has no volumes and no build cache. Docker's lines for them are
    printed with zeros.
    """
    images = list(app.engine.images.list({}))
    containers = list(app.engine.containers.list({}, all=True, size=True))
    if verbose:
        write_details(app, images, containers)
        return
    template = TABLE if format in ("", "table") else RAW if format == "raw" else format
    write_listing(app, template, totals(images, containers), HEADER)


def totals(images: Sequence[Document], containers: Sequence[Document]) -> list[FormatContext]:
    """Return the rows of the summary: images, containers, local volumes and build cache."""
    used = {container["ImageID"] for container in containers}
    inactive = [c for c in containers if c["State"] not in RUNNING]
    active = [i for i in images if i["Id"] in used]
    return [
        total("Images", "Images", len(images), len(active), size_of(images, "Size"),
              size_of(images, "Size") - size_of(active, "Size")),
        total("Containers", "Containers", len(containers), len(containers) - len(inactive),
              size_of(containers, "SizeRw"), size_of(inactive, "SizeRw")),
        total("Local Volumes", "Volumes", 0, 0, 0, 0),
        total("Build Cache", "Builder", 0, 0, 0, 0),
    ]  # fmt: skip


def size_of(documents: Sequence[Document], key: str) -> int:
    """Return the sum in bytes of the sizes that the documents have under ``key``; a missing size counts as 0."""
    return sum(document.get(key) or 0 for document in documents)


def total(kind: str, type_: str, count: int, active: int, size: int, reclaimable: int) -> FormatContext:
    """Return the row of one kind of object in the summary.

    - ``kind``: the row's title
    - ``type_``: the kind in the row's Go type; "Images" stands for ``*formatter.diskUsageImagesContext``
    - ``count`` and ``active``: the number of all objects, and of the objects in use
    - ``size`` and ``reclaimable``: in bytes
    """
    share = f" ({reclaimable * 100 // size}%)" if size and type_ in ("Images", "Containers") else ""
    return FormatContext(
        f"*formatter.diskUsage{type_}Context",
        {
            "Active": str(active),
            "Reclaimable": human_size(reclaimable) + share,
            "Size": human_size(size),
            "TotalCount": str(count),
            "Type": kind,
        },
    )


def write_details(app: App, images: Sequence[Document], containers: Sequence[Document]) -> None:
    """Print a table of the images and a table of the containers."""
    users = [container["ImageID"] for container in containers]
    rows = []
    for image in images:
        row = next(rows_of(image, trunc=True))
        row.fields = {
            **row.fields,
            "Containers": str(users.count(image["Id"])), "SharedSize": "0B", "UniqueSize": human_size(image["Size"]),
        }  # fmt: skip
        rows.append(row)
    app.out("Images space usage:\n\n")
    write_listing(app, IMAGES, rows, IMAGE_HEADER, elided=ELIDED)
    app.out("\nContainers space usage:\n\n")
    details = [container_row(container, trunc=True) for container in containers]
    write_listing(app, CONTAINERS, details, CONTAINER_HEADER, elided=ELIDED)
    app.out(NOTHING)
