"""The ``hawse container inspect`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.options.image_reference import container_path_segment
from cli.output.documents import INSPECT_FORMAT, inspect_all
from cli.pflag import STRING, at_least, command, flag


@command(
    "inspect [OPTIONS] CONTAINER [CONTAINER...]", "Display detailed information on one or more containers",
    at_least(1),
)  # fmt: skip
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@flag("--size", "-s", usage="Display total file sizes", effect="ignored")
@click.argument("containers", nargs=-1)
@click.pass_obj
def inspect(app: App, containers: tuple[str, ...], format: str, size: bool) -> None:
    """Print the inspect documents of the containers.

    With ``size``, the documents also have the containers' sizes. ``format`` is a Go template; "" and "json" mean a
    JSON array.
    """
    containers_of = app.engine.containers
    inspect_all(
        app, containers, format, ["container"],
        lambda name: ("container", containers_of.inspect(container_path_segment(name), size=size)),
    )  # fmt: skip
