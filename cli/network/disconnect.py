"""The ``hawse network disconnect`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.options.image_reference import path_segment
from cli.pflag import command, exactly, flag


@command("disconnect [OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network", exactly(2))
@flag("--force", "-f", usage="Force the container to disconnect from a network")
@click.argument("network")
@click.argument("container")
@click.pass_obj
def disconnect(app: App, network: str, container: str, force: bool) -> None:
    """Disconnect one container from one network; with ``force``, also a container that no longer exists."""
    app.engine.networks.disconnect(path_segment(network), container, force=force)
