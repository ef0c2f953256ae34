"""The ``hawse rm`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.container.each import for_each
from cli.pflag import at_least, command, flag
from engine.errors import Conflict, NotFound


@command(
    "rm [OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers", at_least(1),
    aliases="hawse container rm, hawse container remove, hawse rm",
)  # fmt: skip
@flag("--force", "-f", usage="Force the removal of a running container (uses SIGKILL)")
@flag("--link", "-l", usage="Remove the specified link")
@flag("--volumes", "-v", usage="Remove anonymous volumes associated with the container", effect="ignored")
@click.argument("containers", nargs=-1)
@click.pass_obj
def rm(app: App, containers: tuple[str, ...], force: bool, link: bool, volumes: bool) -> None:
    """Remove the containers; with ``--force``, a missing container is reported but is not an error."""

    def remove(name: str) -> None:
        reference = name.strip("/")
        if not reference:
            raise StatusError("Container name cannot be empty")
        if link:
            remove_link(app, reference)
        app.engine.containers.remove(reference, force=force, volumes=volumes)

    for_each(app, containers, remove, forgiven=(NotFound,) if force else ())


def remove_link(app: App, reference: str) -> None:
    """Raise Conflict for ``rm --link``.

    A legacy link cannot be removed separately, because the link exists as long as its container.
    """
    app.engine.containers.inspect(reference)
    raise Conflict("Conflict, cannot remove the default link name of the container")
