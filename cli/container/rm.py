"""The ``hawse rm`` command."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cli.app import App, StatusError
from cli.container.each import Outcome, outcome_of, report
from cli.pflag import at_least, command, flag
from engine.errors import NotFound

NO_NAME = "Container name cannot be empty"


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
    """Remove the containers; with ``--force``, a missing container is reported but is not an error.

    With ``link``, ``containers`` are legacy links such as "web/db", and only these links are removed. ``volumes`` has
    no effect, because hawse has no volumes.
    """
    references = [name.strip("/") for name in containers]
    named = [reference for reference in references if reference]
    outcomes: Iterator[Outcome] = (outcome_of(app.engine.containers.unlink, reference) for reference in named)
    if named and not link:
        outcomes = app.engine.containers.remove_each(named, force=force)
    each = (next(outcomes) if reference else StatusError(NO_NAME) for reference in references)
    with app.removing(len(named), "containers"):
        report(app, zip(containers, each, strict=True), forgiven=(NotFound,) if force else ())
