"""The ``hawse image prune`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import FILTER, command, flag
from cli.prompt import Filters, may_remove, print_removed
from engine.golang.units import human_size

ALL = "all images without at least one container associated to them"
DANGLING = "all dangling images"


@command("prune [OPTIONS]", "Remove unused images")
@flag("--all", "-a", usage="Remove all unused images, not just dangling ones")
@flag("--filter", kind=FILTER, usage='Provide filter values (e.g. "until=<timestamp>")')
@flag("--force", "-f", usage="Do not prompt for confirmation")
@click.pass_obj
def prune(app: App, all: bool, filter: Filters, force: bool) -> None:
    """Remove the unused images that have no name; with ``all``, remove every unused image.

    Prints the names of the removed images and the freed disk space. Without ``force``, the user is asked first.
    """
    if not (force or may_remove(app, ALL if all else DANGLING)):
        return
    with app.waiting("Removing unused images"):
        lines, reclaimed = remove_unused(app, filter, all=all)
    print_removed(app, "Deleted Images:", lines)
    app.out(f"Total reclaimed space: {human_size(reclaimed)}\n")


def remove_unused(app: App, filters: Filters, *, all: bool) -> tuple[list[str], int]:
    """Remove unused images; return lines that name the removed images, and the size of these images in bytes.

    Without ``all``, only images without a name are removed. A line is ``untagged: NAME`` or ``deleted: ID``.
    """
    dangling = (*filters.get("dangling", ()), "false" if all else "true")
    removed, reclaimed = app.engine.images.prune({**filters, "dangling": dangling})
    return [f"{what.lower()}: {name}" for entry in removed for what, name in entry.items()], reclaimed
