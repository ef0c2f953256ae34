"""The ``hawse ps`` and ``hawse container ls`` commands."""

from __future__ import annotations

from typing import Any

import click

from cli.app import App, StatusError
from cli.container.row import HEADER, empty_row, readers, row
from cli.gotemplate import Template, TemplateExecError, TemplateSyntaxError
from cli.output.documents import LIST_FORMAT
from cli.output.listing import omittable, write_columns, write_listing
from cli.output.rows import shows_only
from cli.pflag import FILTER, INT, STRING, changed, command, flag

ALIASES = "hawse container ls, hawse container list, hawse container ps, hawse ps"
TABLE = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
ELIDED = ("COMMAND", "CREATED", "IMAGE", "SIZE", "PORTS", "STATUS")
RAW = (
    "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"
    "state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\n"
    "ports: {{- pad .Ports 1 0}}\n"
)
NAMED_FORMATS = ("", "table", "raw", "json")
IGNORING = "WARNING: Ignoring custom format, because both --format and --quiet are set.\n"
FAILED = "failed to execute template: "


@command("ps [OPTIONS]", "List containers", aliases=ALIASES)
@flag("--all", "-a", usage="Show all containers (default shows just running)")
@flag("--filter", "-f", kind=FILTER, usage="Filter output based on conditions provided")
@flag("--format", kind=STRING, usage=LIST_FORMAT)
@flag("--last", "-n", kind=INT, usage="Show n last created containers (includes all states)", default_value=-1)
@flag("--latest", "-l", usage="Show the latest created container (includes all states)")
@flag("--no-trunc", usage="Don't truncate output")
@flag("--quiet", "-q", usage="Only display container IDs")
@flag("--size", "-s", usage="Display total file sizes")
@click.pass_context
def ps(ctx: click.Context, /, **flags: Any) -> None:
    """Print a table of the containers, newest first, or the result of ``--format`` for each container."""
    app: App = ctx.obj
    format, quiet, size = flags["format"], flags["quiet"], flags["size"]
    if format and quiet:
        app.err(IGNORING)
    if format and uses_size(format) and not quiet and not changed(ctx, "size"):
        size = True
    limit = 1 if flags["latest"] and flags["last"] == -1 else flags["last"]
    text, trunc = template(format, quiet=quiet, size=size), not flags["no_trunc"]
    is_plain = shows_only(text, HEADER)
    shown = {"size": size, "networks": not is_plain or "Networks" in text}
    containers = app.engine.containers.list(flags["filter"], all=flags["all"], limit=limit, **shown)
    elided = omittable(ELIDED, format, no_trunc=flags["no_trunc"])
    if is_plain:
        cells = {name: list(map(read, containers)) for name, read in readers(trunc=trunc).items() if name in text}
        return write_columns(app, text, cells, HEADER, elided=elided)
    rows = [row(container, trunc=trunc) for container in containers]
    return write_listing(app, text, rows, HEADER, elided=elided)


ls = ps.renamed("ls")


def template(format: str, *, quiet: bool, size: bool) -> str:
    """Return the Go template with which the list of containers is printed.

    The first of these rules that applies selects the template:

    - With ``quiet``, the template shows only the ids, whatever ``--format`` is.
    - "raw" selects Docker's template with one field per line. With ``size``, the size is a field.
    - An empty ``--format`` and "table" select Docker's table. With ``size``, the size is a column.
    - Any other ``--format`` is returned unchanged: a template, or "json".
    """
    if format == "raw":
        return "container_id: {{.ID}}" if quiet else RAW + ("size: {{.Size}}\n" if size else "")
    if quiet:
        return "{{.ID}}"
    if format in ("", "table"):
        return TABLE + ("\t{{.Size}}" if size else "")
    return format


def uses_size(format: str) -> bool:
    """Return whether a ``--format`` shows container sizes; raises StatusError if the format is invalid.

    The function renders the template for an empty container and watches whether the size is used. "table", "raw" and
    "json" do not count as showing sizes. The engine computes sizes only if they are shown, because this takes long.
    """
    used: list[bool] = []
    sample = empty_row(lambda: used.append(True))
    if format not in NAMED_FORMATS:
        try:
            # The template may start with the word "table". Here this word is literal text and does not matter.
            Template(format).execute(sample.value())
        except TemplateSyntaxError as error:
            raise StatusError(f"failed to parse template: {error}") from error
        except TemplateExecError as error:
            raise StatusError(f"{FAILED}{error}") from error
    return bool(used)
