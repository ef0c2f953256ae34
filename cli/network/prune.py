"""``hawse network prune``."""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import FILTER, command, flag
from cli.prompt import confirmed

WARNING = """WARNING! This will remove all custom networks not used by at least one container.
Are you sure you want to continue?"""


@command("prune [OPTIONS]", "Remove all unused networks")
@flag("--filter", kind=FILTER, usage='Provide filter values (e.g. "until=<timestamp>")')
@flag("--force", "-f", usage="Do not prompt for confirmation")
@click.pass_obj
def prune(app: App, filter: dict[str, tuple[str, ...]], force: bool) -> None:
    """Remove unused networks and print their names."""
    if not force and not confirmed(app, WARNING):
        return
    removed = app.engine.networks.prune(filter)
    if removed:
        app.out("Deleted Networks:\n" + "".join(name + "\n" for name in removed) + "\n")
