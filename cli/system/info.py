"""The ``hawse info`` command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from cli.app import App, StatusError
from cli.docker_types.system_types import DOCKER_INFO
from cli.output.documents import INSPECT_FORMAT
from cli.pflag import STRING, command, flag
from cli.system.rendering import server_document, write_document
from cli.system.version import client_document, title
from engine.golang.units import binary_size
from engine.paths import api_socket
from engine.runtime import peer

COUNTS = (
    (" Containers", "Containers"), ("  Running", "ContainersRunning"), ("  Paused", "ContainersPaused"),
    ("  Stopped", "ContainersStopped"), (" Images", "Images"), (" Server Version", "ServerVersion"),
    (" Storage Driver", "Driver"), (" Logging Driver", "LoggingDriver"), (" Cgroup Driver", "CgroupDriver"),
    (" Cgroup Version", "CgroupVersion"),
)  # fmt: skip
RUNTIMES = ((" Default Runtime", "DefaultRuntime"), (" Init Binary", "InitBinary"))
MACHINE = (
    (" Kernel Version", "KernelVersion"), (" Operating System", "OperatingSystem"), (" OSType", "OSType"),
    (" Architecture", "Architecture"), (" CPUs", "NCPU"), (" Total Memory", "MemTotal"), (" Name", "Name"),
    (" ID", "ID"), (" Docker Root Dir", "DockerRootDir"), (" Live Restore Enabled", "LiveRestoreEnabled"),
)  # fmt: skip


@command("info [OPTIONS]", "Display system-wide information", aliases="hawse system info, hawse info")
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@click.pass_obj
def info(app: App, format: str) -> None:
    """Print information about this host and this installation of hawse."""
    client = client_document() | {"ApiVersion": "", "DefaultAPIVersion": "", "Debug": app.debug, "Plugins": []}
    server, problem = server_document(app, lambda system: system.info())
    if format:
        if problem:
            app.err(problem + "\n")
        document = {**(server or {"ID": ""}), "ServerErrors": [problem] if problem else None, "ClientInfo": client}
        write_document(app, document, DOCKER_INFO, format)
    else:
        app.report(report(client, server))
        app.err_lines((server or {}).get("Warnings") or ())
        if problem:
            app.error(f"ERROR: {problem}\n")
            raise StatusError("errors pretty printing info")


def report(client: Mapping[str, Any], server: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the lines that describe the client part and the server part of ``info`` as readable text.

    ``server`` is None if the engine could not give the server part.
    """
    yield title("Client", client)
    yield f" Version:    {client['Version']}"
    yield f" Context:    {client['Context']}"
    yield f" Debug Mode: {word(client['Debug'])}"
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
    yield from swarm(server.get("Swarm") or {})
    if runtimes := server.get("Runtimes"):
        yield f" Runtimes: {' '.join(sorted(runtimes))}"
    yield from lines(RUNTIMES, server)
    yield from security(server.get("SecurityOptions") or ())
    yield from lines(MACHINE, server)
    yield f" Docker API: {served()}"
    if pools := server.get("DefaultAddressPools"):
        yield " Default Address Pools:"
        yield from (f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in pools)
    yield ""


def served() -> str:
    """Return the address at which ``hawse system service`` listens, or a text that says how to start the service."""
    socket = api_socket()
    if peer.is_listening(str(socket.parent), socket.name):
        return f"unix://{socket}"
    return "not served (start it with: hawse system service)"


def swarm(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of ``info`` about the cluster.

    ``document`` is the part "Swarm" of the server part; an empty ``document`` means a host without a cluster.
    """
    state = document.get("LocalNodeState", "inactive")
    yield f" Swarm: {state}"
    if state == "inactive":
        return
    yield f"  NodeID: {document['NodeID']}"
    if document["Error"]:
        yield f"  Error: {document['Error']}"
    yield f"  Is Manager: {word(document['ControlAvailable'])}"
    if cluster := document.get("Cluster"):
        yield f"  ClusterID: {cluster['ID']}"
        yield f"  Managers: {document['Managers']}"
        yield f"  Nodes: {document['Nodes']}"
        yield f"  Default Address Pool: {'  '.join(cluster['DefaultAddrPool'])}"
        yield f"  SubnetSize: {cluster['SubnetSize']}"
        yield f"  Data Path Port: {cluster['DataPathPort']}"
    yield f"  Node Address: {document['NodeAddr']}"
    if managers := document["RemoteManagers"]:
        yield "  Manager Addresses:"
        yield from sorted(f"   {manager['Addr']}" for manager in managers)


def security(options: Iterable[str]) -> Iterator[str]:
    """Yield the lines about the security options, such as ``name=seccomp,profile=builtin``."""
    for number, option in enumerate(options):
        if not number:
            yield " Security Options:"
        (_, name), *others = (pair.split("=", 1) for pair in option.split(","))
        yield f"  {name}"
        yield from (f"   {'Profile' if key == 'profile' else key}: {value}" for key, value in others)


def word(value: object) -> object:
    """Return "true" or "false" for a boolean, as Go writes it; return any other value unchanged."""
    return str(value).lower() if isinstance(value, bool) else value


def lines(table: tuple[tuple[str, str], ...], server: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line for each row of ``table``; a row has the title of the line and a key of ``server``.

    If the value of the key is missing in ``server``, or is "", no line is yielded for this row.
    """
    for name, key in table:
        value = server.get(key, "")
        if value != "":
            yield f"{name}: {binary_size(value) if key == 'MemTotal' else word(value)}"
