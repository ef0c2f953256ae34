"""The ``hawse system prune`` command: remove everything that is not in use."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from cli.app import App, StatusError
from cli.pflag import FILTER, command, flag, no_args
from cli.prompt import Filters, confirmed
from engine.errors import Conflict
from engine.golang import time as go_time
from engine.golang.units import human_size

ALL = ("all images without at least one container associated to them", "all build cache")
DANGLING = ("all dangling images", "unused build cache")


@command("prune [OPTIONS]", "Remove unused data", no_args)
@flag("--all", "-a", usage="Remove all unused images not just dangling ones")
@flag("--filter", kind=FILTER, usage='Provide filter values (e.g. "label=<key>=<value>")')
@flag("--force", "-f", usage="Do not prompt for confirmation")
@flag("--volumes", usage="Prune anonymous volumes", effect="ignored")
@click.pass_obj
def prune(app: App, all: bool, filter: Filters, force: bool, volumes: bool) -> None:
    """Remove stopped containers, unused networks and unused images; print the removed objects."""
    if volumes and "until" in filter:
        raise StatusError('ERROR: The "until" filter is not supported with "--volumes"')
    if not (force or confirmed(app, question(filter, all=all, volumes=volumes))):
        return
    with app.waiting("Removing what is stopped or unused"):
        prune_everything(app, filter, all=all)


def prune_everything(app: App, filter: Filters, *, all: bool) -> None:
    """Remove stopped containers, unused networks and unused images, in this order; print the removed objects."""
    containers, reclaimed = app.engine.containers.prune(filter)
    write(app, "Deleted Containers:", containers)
    write(app, "Deleted Networks:", app.engine.networks.prune(filter))
    lines = []
    for image in unused_images(app, filter, all=all):
        try:
            removed = [
                entry
                for name in image["RepoTags"] or [image["Id"]]
                for entry in app.engine.images.remove(name, force=False)
            ]
        except Conflict:
            continue
        lines += [f"{what.lower()}: {name}" for entry in removed for what, name in entry.items()]
        reclaimed += image["Size"]
    write(app, "Deleted Images:", lines)
    app.out(f"Total reclaimed space: {human_size(reclaimed)}\n")


def question(filters: Filters, *, all: bool, volumes: bool) -> str:
    """Return Docker's question, which lists what will be removed."""
    kinds = ["all stopped containers", "all networks not used by at least one container"]
    kinds += ["all anonymous volumes not used by at least one container"] if volumes else []
    kinds += ALL if all else DANGLING
    text = "WARNING! This will remove:\n" + "".join(f"  - {kind}\n" for kind in kinds)
    if filters:
        pairs = sorted(f"{key}={value}" for key, values in filters.items() for value in values)
        text += "\n  Items to be pruned will be filtered with:\n" + "".join(f"  - {pair}\n" for pair in pairs)
    return f"{text}\nAre you sure you want to continue?"


def write(app: App, title: str, names: Any) -> None:
    """Print the title and the names of removed objects; print nothing if there are none."""
    if names:
        app.out_lines([title, *names, ""])


def unused_images(app: App, filters: Filters, *, all: bool) -> Iterator[Mapping[str, Any]]:
    """Yield the images that no container uses and that match the filters.

    Without ``all``, yield only images without a name.
    """
    used = {container["ImageID"] for container in app.engine.containers.list({}, all=True)}
    now = datetime.now().astimezone()
    before = min((go_time.moment(text, now) for text in filters.get("until", ())), default=time.time())
    for image in app.engine.images.list({}):
        labels = image["Labels"] or {}
        removable = image["Created"] < before and (all or not image["RepoTags"])
        if (
            removable
            and image["Id"] not in used
            and matches(labels, filters.get("label", ()))
            and not any(matches(labels, (pair,)) for pair in filters.get("label!", ()))
        ):
            yield image


def matches(labels: Mapping[str, str], pairs: tuple[str, ...]) -> bool:
    """Return whether the labels match all ``pairs``; a pair is ``key=value``, or ``key`` for any value."""
    split = (pair.partition("=") for pair in pairs)
    return all(key in labels and (not equals or labels[key] == value) for key, equals, value in split)
