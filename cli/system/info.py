"""The ``hawse info`` command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.app import App, StatusError
from cli.output.documents import INSPECT_FORMAT
from cli.pflag import STRING, command, flag
from cli.system.rendering import server_document, write_document
from engine.version import version_text

Json = dict[str, Any]
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

COUNTS = (
    (" Containers", "Containers"), ("  Running", "ContainersRunning"), ("  Paused", "ContainersPaused"),
    ("  Stopped", "ContainersStopped"), (" Images", "Images"), (" Server Version", "ServerVersion"),
    (" Storage Driver", "Driver"), (" Logging Driver", "LoggingDriver"), (" Cgroup Driver", "CgroupDriver"),
    (" Cgroup Version", "CgroupVersion"),
)  # fmt: skip
MACHINE = (
    (" Default Runtime", "DefaultRuntime"), (" Kernel Version", "KernelVersion"),
    (" Operating System", "OperatingSystem"), (" OSType", "OSType"), (" Architecture", "Architecture"),
    (" CPUs", "NCPU"), (" Total Memory", "MemTotal"), (" Name", "Name"), (" ID", "ID"),
    (" Docker Root Dir", "DockerRootDir"),
)  # fmt: skip


@command("info [OPTIONS]", "Display system-wide information", aliases="hawse system info, hawse info")
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@click.pass_obj
def info(app: App, format: str) -> None:
    """Print information about this host and this installation of hawse."""
    client = {"Version": version_text(), "Context": "default", "Debug": app.debug}
    server, problem = server_document(app, lambda system: system.info())
    if format:
        document = {**(server or {}), "ServerErrors": [problem] if problem else None, "ClientInfo": client}
        write_document(app, document, format)
    else:
        app.out_lines(report(client, server))
        app.err_lines((server or {}).get("Warnings") or ())
        if problem:
            app.err(f"ERROR: {problem}\n")
    if problem:
        raise StatusError("" if format else "errors pretty printing info")


def report(client: Mapping[str, Any], server: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the lines that describe the client part and the server part of ``info`` as readable text."""
    yield "Client:"
    yield f" Version:    {client['Version']}"
    yield f" Context:    {client['Context']}"
    yield f" Debug Mode: {'true' if client['Debug'] else 'false'}"
    yield ""
    yield "Server:"
    if server is None:
        return
    for line in lines(COUNTS, server):
        yield line
        if line.startswith(" Logging Driver: ") and (options := server.get("DefaultLogOpts")):
            yield "  Default Options: " + " ".join(f"{key}={options[key]}" for key in sorted(options))
    plugins = {kind: names for kind, names in (server.get("Plugins") or {}).items() if names}
    if plugins:
        yield " Plugins:"
        yield from (f"  {kind}: {' '.join(names)}" for kind, names in plugins.items())
    yield f" Swarm: {(server.get('Swarm') or {}).get('LocalNodeState', 'inactive')}"
    yield from lines(MACHINE, server)
    yield ""


def lines(table: tuple[tuple[str, str], ...], server: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line for each row of the table.

    If the value of a row is missing or empty in ``server``, no line is yielded for this row.
    """
    for title, key in table:
        value = server.get(key, "")
        if value != "":
            yield f"{title}: {binary_size(value) if key == 'MemTotal' else value}"


def binary_size(size: float) -> str:
    """Return a number of bytes with four digits and a binary unit such as MiB, like Docker's units.BytesSize."""
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.4g}{UNITS[unit]}"
