"""The ``hawse top`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.options.image_reference import path_segment
from cli.output.listing import measure
from cli.output.table import align
from cli.pflag import at_least, command

COLUMN = 20  # the smallest width of a column, in characters


@command(
    "top CONTAINER [ps OPTIONS]", "Display the running processes of a container", at_least(1),
    aliases="hawse container top, hawse top", interspersed=False,
)  # fmt: skip
@click.argument("container")
@click.argument("options", nargs=-1)
@click.pass_obj
def top(app: App, container: str, options: tuple[str, ...]) -> None:
    """Print the processes of a container as ps(1) shows them, with the pids of the host.

    ``options`` are options of ps, such as "aux".
    """
    document = app.engine.containers.top(path_segment(container), " ".join(options))
    rows = [app.protected(row) for row in (document["Titles"], *document["Processes"])]
    app.out_rendered("".join(f"{line}\n" for line in align(["\t".join(row) for row in rows], measure(app), COLUMN)))
