"""The ``hawse container prune`` command."""

from __future__ import annotations

from cli.app import App
from cli.prompt import Filters, print_removed, prune_command
from engine.golang.units import human_size


@prune_command("Remove all stopped containers", "stopped containers")
def prune(app: App, filters: Filters) -> None:
    """Remove stopped containers; print the ids of the removed containers and the disk space that was freed."""
    with app.waiting("Removing stopped containers"):
        removed, reclaimed = app.engine.containers.prune(filters)
    print_removed(app, "Deleted Containers:", removed)
    app.out(f"Total reclaimed space: {human_size(reclaimed)}\n")
