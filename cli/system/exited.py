"""The hidden ``hawse __exited`` command, which runs when a container's process has ended.

The supervisor, the parent process of containers, runs the command.
"""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import between, command


@command(
    "__exited CONTAINER_ID [FINISHED_AT]",
    "Clean up after a container whose process has ended",
    between(1, 2),
    hidden=True,
)
@click.argument("container_id")
@click.argument("finished_at")
@click.pass_obj
def exited(app: App, container_id: str, finished_at: str | None) -> None:
    """Release the resources of a container whose process has ended; then restart or remove it, as its settings say.

    ``finished_at`` is given if the restart had to wait: the time at which the process ended, as in the container's
    record. The command then only restarts the container, and only if the record still has this time.
    """
    app.engine.containers.exited(container_id, finished_at or "")
