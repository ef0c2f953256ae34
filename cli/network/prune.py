"""The ``hawse network prune`` command."""

from __future__ import annotations

from cli.app import App
from cli.prompt import Filters, print_removed, prune_command


@prune_command("Remove all unused networks", "custom networks not used by at least one container")
def prune(app: App, filters: Filters) -> None:
    """Remove unused networks and print their names."""
    with app.waiting("Removing unused networks"):
        removed = app.engine.networks.prune(filters)
    print_removed(app, "Deleted Networks:", removed)
