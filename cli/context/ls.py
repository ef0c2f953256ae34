"""The ``hawse context ls`` command."""

from __future__ import annotations

import json

import click

from cli.app import App
from cli.context.default import DEFAULT, endpoint
from cli.output.documents import LIST_FORMAT
from cli.output.listing import omittable, write_listing
from cli.output.rows import Field, FormatContext
from cli.pflag import STRING, command, flag

HEADER = {"Name": "NAME", "Description": "DESCRIPTION", "DockerEndpoint": "DOCKER ENDPOINT", "Error": "ERROR"}
TABLE = "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"
ELIDED = ("ERROR", "DESCRIPTION")
DESCRIPTION = "Current DOCKER_HOST based configuration"
OVERRIDDEN = (
    "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global "
    "--context flag, or unset DOCKER_HOST environment variable.\n"
)


class Row(FormatContext):
    """The row of the context ``default``; its JSON has the keys in the order of Docker's struct."""

    def marshal_json(self) -> str:
        """Return the row as a JSON object."""
        names = ("Name", "Description", "DockerEndpoint", "Current", "Error")
        document = {name: self.cell(name) for name in names} | {"ContextType": "moby"}
        return json.dumps(document, separators=(",", ":"))


@command("ls [OPTIONS]", "List contexts", aliases="hawse context ls, hawse context list")
@flag("--format", kind=STRING, usage=LIST_FORMAT)
@flag("--quiet", "-q", usage="Only show context names")
@click.pass_obj
def ls(app: App, format: str, quiet: bool) -> None:
    """Print a table with the only context."""
    fields: dict[str, Field] = {
        "Name": DEFAULT,
        "Current": True,
        "Description": DESCRIPTION,
        "DockerEndpoint": endpoint(app),
        "Error": "",
    }
    template = "{{.Name}}" if quiet else TABLE if format in ("", "table") else format
    elided = () if quiet else omittable(ELIDED, format)
    write_listing(app, template, [Row("*formatter.clientContextContext", fields)], HEADER, elided=elided)
    if app.environ.get("DOCKER_HOST"):  # Docker prints this warning even if --host overrides DOCKER_HOST
        app.err(OVERRIDDEN)
