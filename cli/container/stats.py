"""The ``hawse stats`` command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import click

from cli.app import App
from cli.options.image_reference import path_segment
from cli.output.documents import LIST_FORMAT, Json
from cli.output.listing import omittable, write_listing
from cli.output.rows import FormatContext
from cli.pflag import STRING, at_least, command, flag
from engine.errors import NotFound
from engine.golang.units import binary_size, human_size
from engine.names import short_id

TABLE = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
HEADER = {
    "BlockIO": "BLOCK I/O", "CPUPerc": "CPU %", "Container": "CONTAINER", "ID": "CONTAINER ID", "MemPerc": "MEM %",
    "MemUsage": "MEM USAGE / LIMIT", "Name": "NAME", "NetIO": "NET I/O", "PIDs": "PIDS",
}  # fmt: skip
ELIDED = ("BLOCK I/O", "MEM %", "NET I/O", "PIDS")
FIRST_SECONDS, PAUSE_SECONDS = 1.0, 0.5
"""Seconds between the first two readings, and between two later readings."""
CLEAR = "\x1b[2J\x1b[H"


@command(
    "stats [OPTIONS] [CONTAINER...]", "Display a live stream of container(s) resource usage statistics", at_least(0),
    aliases="hawse container stats, hawse stats",
)  # fmt: skip
@flag("--all", "-a", usage="Show all containers (default shows just running)")
@flag("--format", kind=STRING, usage=LIST_FORMAT)
@flag("--no-stream", usage="Disable streaming stats and only pull the first result")
@flag("--no-trunc", usage="Do not truncate output")
@click.argument("containers", nargs=-1)
@click.pass_obj
def stats(app: App, containers: tuple[str, ...], all: bool, format: str, no_stream: bool, no_trunc: bool) -> None:
    """Print a table of the containers' resource usage, repeatedly until the command is interrupted.

    With ``no_stream``, the table is printed only once. If the user names no container, ``all`` includes
    stopped containers.
    """
    template = TABLE if format in ("", "table") else format
    for documents in readings(app, containers, everything=all):
        rows = [row(name, before, now, trunc=not no_trunc) for name, before, now in documents]
        if not no_stream:
            app.write(app.stdout, CLEAR.encode())
        write_listing(app, template, rows, HEADER, elided=omittable(ELIDED, format, no_trunc=no_trunc))
        if no_stream:
            return


def readings(
    app: App, containers: Sequence[str], *, everything: bool
) -> Iterator[list[tuple[str, Mapping[str, Json], Json]]]:
    """Read the containers' resource usage repeatedly; yield a list with one entry for each container.

    An entry is a tuple of three items:

    - the container's name in the table
    - the documents of the previous reading, by container id (all containers)
    - the document of the present reading (only this container)

    ``containers`` and ``everything`` select the containers, as in `read`. Because percentages need two readings, the
    first reading is not yielded. A reading without containers is yielded at once, as an empty list.
    """
    before: dict[str, Json] = {}
    pause = FIRST_SECONDS
    while True:
        present = read(app, containers, everything=everything)
        if before or not present:
            yield [(name, before, document) for name, document in present]
            pause = PAUSE_SECONDS
        before = {document["id"]: document for _, document in present}
        time.sleep(pause)


def read(app: App, containers: Sequence[str], *, everything: bool) -> list[tuple[str, Json]]:
    """Read the current resource usage of each container; return pairs of the container's name and its document.

    - If ``containers`` has names that the user typed, these containers are read. The pairs have the same names.
    - If ``containers`` is empty, all running containers are read. With ``everything``, stopped containers are read too.
      The names in the pairs are short ids.
    """
    if containers:
        names = list(map(path_segment, containers))
        return list(zip(containers, app.engine.containers.current_stats(names), strict=True))
    while True:
        listed = [document["Id"] for document in app.engine.containers.list({}, all=everything)]
        with suppress(NotFound):  # if a container was removed after the listing, list the containers again
            documents = app.engine.containers.current_stats(listed)
            return [(short_id(document["id"]), document) for document in documents]


def row(name: str, before: Mapping[str, Json], now: Json, *, trunc: bool) -> FormatContext:
    """Return the table row of a container; ``now`` is the container's present stats document.

    ``name`` is the text of the field Container. ``before`` holds the stats documents of the previous reading, by
    container id. If the container is missing in ``before``, the processor time is 0%. With ``trunc``, the id is
    shortened.
    """
    used, limit = memory(now)
    received, sent = (sum(n[key] for n in now.get("networks", {}).values()) for key in ("rx_bytes", "tx_bytes"))
    fields = {
        "BlockIO": " / ".join(human_size(disk(now, word), precision=3) for word in ("read", "write")),
        "CPUPerc": f"{share(before.get(now['id'], now), now):.2f}%",
        "Container": name,
        "ID": short_id(now["id"]) if trunc else now["id"],
        "MemPerc": f"{100 * used / limit if limit else 0:.2f}%",
        "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
        "Name": now["name"].removeprefix("/"),
        "NetIO": f"{human_size(received, precision=3)} / {human_size(sent, precision=3)}",
        "PIDs": str(now["pids_stats"].get("current", 0)),
    }
    return FormatContext("*container.statsContext", fields)


def share(before: Json, now: Json) -> float:
    """Return the processor time that a container has used between two readings, in percent of one processor.

    ``before`` and ``now`` are the container's documents of the two readings. Example: 200.0 means that the container
    has used two processors all the time. The result is 0.0 if no time has passed.
    """
    old, new = before["cpu_stats"], now["cpu_stats"]
    spent = new["cpu_usage"]["total_usage"] - old["cpu_usage"]["total_usage"]
    passed = new.get("system_cpu_usage", 0) - old.get("system_cpu_usage", 0)
    return 100 * spent / passed * new.get("online_cpus", 0) if spent > 0 and passed > 0 else 0.0


def memory(document: Json) -> tuple[int, int]:
    """Return the container's used memory and this host's memory in bytes; both are 0 if the container does not run.

    ``document`` is the container's document of GET /containers/{id}/stats.
    """
    return document["memory_stats"].get("usage", 0), document["memory_stats"].get("limit", 0)


def disk(document: Json, word: str) -> int:
    """Return the number of bytes that a container has read from disks, or has written to disks.

    ``word`` is "read" or "write". ``document`` is the container's document of GET /containers/{id}/stats.
    """
    entries = document["blkio_stats"]["io_service_bytes_recursive"] or ()
    return sum(entry["value"] for entry in entries if entry["op"] == word)
