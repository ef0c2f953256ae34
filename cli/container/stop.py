"""``hawse stop``."""

from __future__ import annotations

import click

from cli.app import App
from cli.container.batch import for_each
from cli.pflag import INT, STRING, at_least, changed, command, flag
from cli.reference import addressed


@command(
    "stop [OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers", at_least(1),
    aliases="hawse container stop, hawse stop",
)  # fmt: skip
@flag("--signal", "-s", kind=STRING, usage="Signal to send to the container")
@flag("--time", "-t", kind=INT, usage="Seconds to wait before killing the container")
@click.argument("containers", nargs=-1)
@click.pass_context
def stop(ctx: click.Context, containers: tuple[str, ...], signal: str, time: int) -> None:
    """Stop the containers one by one."""
    app: App = ctx.obj
    timeout = time if changed(ctx, "time") else None
    for_each(app, containers, lambda name: app.engine.containers.stop(addressed(name), timeout, signal))
