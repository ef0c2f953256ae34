"""The hidden ``hawse __exited`` command, which the supervisor runs when a container's process has ended."""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import command, exactly


@command("__exited CONTAINER_ID", "Clean up after a container whose process has ended", exactly(1), hidden=True)
@click.argument("container_id")
@click.pass_obj
def exited(app: App, container_id: str) -> None:
    """Release the resources of a container whose process has ended.

    Then restart or remove the container according to the container's settings.
    """
    app.engine.containers.exited(container_id)
