"""``hawse container prune``."""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import FILTER, command, flag
from cli.prompt import confirmed
from cli.units import human_size

WARNING = """WARNING! This will remove all stopped containers.
Are you sure you want to continue?"""


@command("prune [OPTIONS]", "Remove all stopped containers")
@flag("--filter", kind=FILTER, usage='Provide filter values (e.g. "until=<timestamp>")')
@flag("--force", "-f", usage="Do not prompt for confirmation")
@click.pass_obj
def prune(app: App, filter: dict[str, tuple[str, ...]], force: bool) -> None:
    """Remove stopped containers; print their ids and the space they took."""
    if not force and not confirmed(app, WARNING):
        return
    removed, reclaimed = app.engine.containers.prune(filter)
    if removed:
        app.out("Deleted Containers:\n" + "".join(f"{id}\n" for id in removed) + "\n")
    app.out(f"Total reclaimed space: {human_size(reclaimed)}\n")
