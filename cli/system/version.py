"""The ``hawse version`` command and the ``--version`` flag."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.app import App, StatusError
from cli.output.documents import INSPECT_FORMAT, Json
from cli.pflag import STRING, command, flag
from cli.system.rendering import server_document, write_document
from engine.version import API_VERSION, version_text

COLUMN = 20  # width in characters of the indentation and the title, which come before the line's value
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
        write_document(app, document, format)
    else:
        app.out_lines(report(document))
    if problem:
        raise StatusError(problem)


def version_line() -> str:
    """Return the line of text that ``--version`` prints."""
    return f"hawse version {version_text()}"


def client_document() -> Json:
    """Return the ``Client`` part of the version document.

    The part has only those keys of Docker's document that have a meaning in hawse.
    """
    machine = platform.machine()
    return {
        "Version": version_text(),
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": platform.python_version(),
        "Os": "linux",
        "Arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "Context": "default",
    }


def report(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that describe the client part and the server part of the document as readable text."""
    client, server = document["Client"], document["Server"]
    yield "Client:"
    yield from facts(client, indent=1)
    if server is None:
        return
    yield ""
    yield f"Server: {(server.get('Platform') or {}).get('Name', '')}".rstrip()
    yield " Engine:"
    yield from facts(server, indent=2)
    for component in server.get("Components") or ():
        if component["Name"] != "Engine":
            yield f" {component['Name']}:"
            yield from facts({**component, **(component.get("Details") or {})}, indent=2)


def facts(values: Mapping[str, Any], *, indent: int) -> Iterator[str]:
    """Yield one line for each title of Docker's ``version`` output that has a value in ``values``, in Docker's
    order.
    """
    known = dict(values)
    if "Os" in known and "Arch" in known:
        known["OS/Arch"] = f"{known['Os']}/{known['Arch']}"
    if "MinAPIVersion" in known:
        known["ApiVersion"] = f"{known['ApiVersion']} (minimum version {known['MinAPIVersion']})"
    for title, key in LINES:
        if key in known:
            left = f"{' ' * indent}{title}:"
            yield f"{left:<{COLUMN}}{known[key]}"
