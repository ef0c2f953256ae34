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

    If a restart has to wait, the supervisor runs this command a second time after the wait, with ``finished_at``: the
    time at which the process ended, as in the container's record. This second command only restarts the container. It
    does nothing if the record has another time.
    """
    app.engine.containers.exited(container_id, finished_at or "")
