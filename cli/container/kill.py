"""The ``hawse kill`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.container.each import for_each
from cli.options.image_reference import path_segment
from cli.pflag import STRING, at_least, command, flag


@command(
    "kill [OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers", at_least(1),
    aliases="hawse container kill, hawse kill",
)  # fmt: skip
@flag("--signal", "-s", kind=STRING, usage="Signal to send to the container")
@click.argument("containers", nargs=-1)
@click.pass_obj
def kill(app: App, containers: tuple[str, ...], signal: str) -> None:
    """Send a signal to each of the containers; the signal is SIGKILL if ``signal`` is ""."""
    for_each(app, containers, lambda name: app.engine.containers.kill(path_segment(name), signal))
