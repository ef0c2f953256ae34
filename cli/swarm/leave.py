"""The ``hawse swarm leave`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import command, flag, no_args


@command("leave [OPTIONS]", "Leave the swarm", no_args)
@flag("--force", "-f", usage="Force this node to leave the swarm, ignoring warnings")
@click.pass_obj
def leave(app: App, force: bool) -> None:
    """Remove this host from its cluster."""
    with app.waiting("Leaving the swarm"):
        app.engine.swarm.leave(force=force)
    app.out("Node left the swarm.\n")
