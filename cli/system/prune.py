"""The ``hawse system prune`` command: remove everything that is not in use."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.image.prune import ALL, DANGLING, remove_unused
from cli.pflag import FILTER, command, flag
from cli.prompt import Filters, confirmed, print_removed
from engine.golang.units import human_size


@command("prune [OPTIONS]", "Remove unused data")
@flag("--all", "-a", usage="Remove all unused images not just dangling ones")
@flag("--filter", kind=FILTER, usage='Provide filter values (e.g. "label=<key>=<value>")')
@flag("--force", "-f", usage="Do not prompt for confirmation")
@flag("--volumes", usage="Prune anonymous volumes", effect="ignored")
@click.pass_obj
def prune(app: App, all: bool, filter: Filters, force: bool, volumes: bool) -> None:
    """Remove stopped containers, unused networks and unused images; print the removed objects.

    An unused image that has a name is removed only with ``all``. Without ``force``, the user is asked first.
    ``volumes`` removes nothing, because hawse has no volumes. Like Docker, raises StatusError if ``volumes`` is used
    with the filter ``until``.
    """
    if volumes and "until" in filter:
        raise StatusError('ERROR: The "until" filter is not supported with "--volumes"')
    if not (force or confirmed(app, question(filter, all=all, volumes=volumes))):
        return
    with app.waiting("Removing what is stopped or unused"):
        prune_everything(app, filter, all=all)


def prune_everything(app: App, filter: Filters, *, all: bool) -> None:
    """Remove stopped containers, unused networks and unused images, in this order; print them and the reclaimed space.

    An unused image that has a name is removed only with ``all``.
    """
    containers, reclaimed = app.engine.containers.prune(filter)
    print_removed(app, "Deleted Containers:", containers)
    print_removed(app, "Deleted Networks:", app.engine.networks.prune(filter))
    lines, of_images = remove_unused(app, filter, all=all)
    print_removed(app, "Deleted Images:", lines)
    app.out(f"Total reclaimed space: {human_size(reclaimed + of_images)}\n")


def question(filters: Filters, *, all: bool, volumes: bool) -> str:
    """Return Docker's question before ``system prune``, which lists the kinds of objects that will be removed.

    ``filters`` has the values of ``--filter``, which the question also lists. ``all`` and ``volumes`` say whether the
    flags of these names were given.
    """
    kinds = ["all stopped containers", "all networks not used by at least one container"]
    kinds += ["all anonymous volumes not used by at least one container"] if volumes else []
    kinds += [ALL, "all build cache"] if all else [DANGLING, "unused build cache"]
    text = "WARNING! This will remove:\n" + "".join(f"  - {kind}\n" for kind in kinds)
    if filters:
        pairs = sorted(f"{key}={value}" for key, values in filters.items() for value in values)
        text += "\n  Items to be pruned will be filtered with:\n" + "".join(f"  - {pair}\n" for pair in pairs)
    return f"{text}\nAre you sure you want to continue?"
