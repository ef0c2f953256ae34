"""The ``hawse wait`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.pflag import at_least, command
from engine.errors import EngineError


@command(
    "wait CONTAINER [CONTAINER...]", "Block until one or more containers stop, then print their exit codes",
    at_least(1), aliases="hawse container wait, hawse wait",
)  # fmt: skip
@click.argument("containers", nargs=-1)
@click.pass_obj
def wait(app: App, containers: tuple[str, ...]) -> None:
    """Wait until each container has stopped, one after the other, and print each container's exit code."""
    problems = []
    for container in containers:
        try:
            app.out(f"{app.engine.containers.wait(path_segment(container))}\n")
        except EngineError as error:
            problems.append(app.daemon_text(error))
    if problems:
        raise StatusError("\n".join(problems))
