"""The ``hawse rename`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.pflag import command, exactly
from engine.errors import EngineError


@command("rename CONTAINER NEW_NAME", "Rename a container", exactly(2), aliases="hawse container rename, hawse rename")
@click.argument("container")
@click.argument("new_name")
@click.pass_obj
def rename(app: App, container: str, new_name: str) -> None:
    """Change the name of a container."""
    container, new_name = container.strip(), new_name.strip()
    if not container or not new_name:
        raise StatusError("Error: Neither old nor new names may be empty")
    try:
        app.engine.containers.rename(path_segment(container), new_name)
    except EngineError as error:
        app.error(app.daemon_text(error) + "\n")
        raise StatusError(f"Error: failed to rename container named {app.line(container, app.stderr)}") from error
