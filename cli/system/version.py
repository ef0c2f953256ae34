"""The ``hawse version`` command and the ``--version`` flag."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.app import App, StatusError
from cli.docker_types.system_types import VERSION_INFO
from cli.output.documents import INSPECT_FORMAT, Json
from cli.pflag import STRING, command, flag
from cli.system.rendering import server_document, write_document
from engine.render.version import API_VERSION, DOCKER_VERSION, architecture, version_text

COLUMN = 20  # characters before the value of a line: its indentation and its title
LINES = (
    ("Version", "Version"), ("API version", "ApiVersion"), ("Python version", "PythonVersion"),
    ("Git commit", "GitCommit"), ("Built", "BuildTime"), ("OS/Arch", "OS/Arch"), ("Context", "Context"),
    ("Experimental", "Experimental"),
)  # fmt: skip


@command("version [OPTIONS]", "Show the hawse version information")
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@click.pass_obj
def version(app: App, format: str) -> None:
    """Print the versions of the command line and of the engine."""
    server, problem = server_document(app, lambda system: system.version())
    document = {"Client": client_document(), "Server": server}
    if format:
        write_document(app, document, VERSION_INFO, format, name="version")
    else:
        app.report(report(document))
    if problem:
        raise StatusError(problem)


def version_line(*, readable: bool) -> str:
    """Return the line that ``--version`` prints.

    A terminal gets a ``readable`` line that begins with hawse's own version. A pipe gets Docker's line, from which
    scripts read the version of Docker; the build in this line names hawse's own version.
    """
    if readable:
        return f"hawse version {version_text()} (works as Docker {DOCKER_VERSION})"
    return f"Docker version {DOCKER_VERSION}, build hawse-{version_text()}"


def client_document() -> Json:
    """Return the ``Client`` part of the version document.

    The version is the Docker release that hawse copies. hawse's own version is in ``Platform``.
    """
    return {
        "Platform": {"Name": f"hawse {version_text()}"},
        "Version": DOCKER_VERSION,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": sys.version.split()[0],
        "Os": "linux",
        "Arch": architecture(),
        "Context": "default",
    }


def title(side: str, document: Mapping[str, Any]) -> str:
    """Return the first line of the part ``side`` ("Client" or "Server") of ``version`` and ``info``."""
    return f"{side}: {(document.get('Platform') or {}).get('Name', '')}".rstrip()


def report(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that describe the client part and the server part of the document as readable text.

    If the document's server part is None, only the client part is described.
    """
    client, server = document["Client"], document["Server"]
    yield title("Client", client)
    yield from facts(client, indent=1)
    if server is None:
        return
    yield ""
    yield title("Server", server)
    yield " Engine:"
    yield from facts(server, indent=2)
    for component in server.get("Components") or ():
        if component["Name"] != "Engine":
            yield f" {component['Name']}:"
            yield from facts({**component, **(component.get("Details") or {})}, indent=2)


def facts(values: Mapping[str, Any], *, indent: int) -> Iterator[str]:
    """Yield one line for each key in `LINES` that has a value in ``values``; ``indent`` is a number of spaces."""
    known = dict(values)
    if "Os" in known and "Arch" in known:
        known["OS/Arch"] = f"{known['Os']}/{known['Arch']}"
    if "MinAPIVersion" in known:
        known["ApiVersion"] = f"{known['ApiVersion']} (minimum version {known['MinAPIVersion']})"
    for title, key in LINES:
        if known.get(key, "") != "":
            left = f"{' ' * indent}{title}:"
            yield f"{left:<{COLUMN}}{known[key]}"
