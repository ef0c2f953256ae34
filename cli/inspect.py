"""The ``hawse inspect`` command: print the document of the container, image or network that has a given name."""

from __future__ import annotations

from collections.abc import Callable

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.output.documents import INSPECT_FORMAT, Json, inspect_all
from cli.pflag import STRING, at_least, command, flag
from engine.errors import NotFound
from engine.golang.strconv import quote

DOCKERS_TYPES = ("", "container", "image", "node", "network", "service", "volume", "task", "plugin", "secret")
ABSENT = {"volume": "get {name}: no such volume", "plugin": 'plugin "{name}" not found'}
SKIPPABLE = ("not supported", "invalid reference format")


@command("inspect [OPTIONS] NAME|ID [NAME|ID...]", "Return low-level information on Docker objects", at_least(1))
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@flag("--size", "-s", usage="Display total file sizes if the type is container", effect="ignored")
@flag("--type", kind=STRING, usage="Return JSON for specified type")
@click.argument("names", nargs=-1)
@click.pass_obj
def inspect(app: App, names: tuple[str, ...], format: str, size: bool, type: str) -> None:
    """For each name, print the document of the container, image or network with this name.

    If several objects have the name, a container takes precedence over an image, and an image over a network. ``type``
    restricts the search to one kind of object. With ``size``, a container's document also has the container's sizes.
    """
    if type not in DOCKERS_TYPES:
        raise StatusError(f"{quote(type)} is not a valid value for --type")
    inspectors = inspectors_of(app, size=size)
    if type and type not in inspectors:
        inspectors = {type: lambda name: absent(app, type, name)}
    kinds = [type] if type else list(inspectors)

    def fetch(name: str) -> tuple[str, Json]:
        for kind in kinds:
            document = find(inspectors, kind, name, only=bool(type))
            if document is not None:
                if size and kind != "container":
                    app.err(f"WARNING: --size ignored for {kind}\n")
                return kind, document
        raise StatusError(f"Error: No such object: {app.line(name, app.stderr)}")

    inspect_all(app, names, format, inspectors, fetch)


def inspectors_of(app: App, *, size: bool) -> dict[str, Callable[[str], Json]]:
    """Return one function for each kind of object, in the order in which Docker searches the kinds.

    The kinds are container, image and network. Each function returns the document of the object with a given name. The
    engine is opened only when such a function is called. ``size`` is the flag ``--size``.
    """
    return {
        "container": lambda name: app.engine.containers.inspect(path_segment(name), size=size),
        "image": lambda name: app.engine.images.inspect(path_segment(name)),
        "network": lambda name: app.engine.networks.inspect(path_segment(name)),
    }


def absent(app: App, kind: str, name: str) -> Json:
    """Return the document of the swarm node ``name``; for a ``kind`` other than "node", raise Docker's error.

    The other kinds are objects of Docker that hawse does not have, such as "volume".
    """
    if kind in ABSENT:
        raise NotFound(ABSENT[kind].format(name=name))
    if kind == "node":
        return app.engine.swarm.inspect_node(name)
    app.engine.swarm.inspect_node("self")  # raises Docker's error if this host is not a swarm manager
    raise NotFound(f"{kind} {name} not found")


def find(inspectors: dict[str, Callable[[str], Json]], kind: str, name: str, *, only: bool) -> Json | None:
    """Return the document of the object with this kind and name; None tells the caller to try the next kind.

    ``inspectors`` maps each kind to a function, as `inspectors_of` does. With ``only``, the user chose this kind with
    ``--type``: None is never returned, and every error is raised. Without ``only``, None is returned in three cases:

    - there is no such object
    - ``name`` is empty
    - the error's text contains one of the texts in SKIPPABLE

    Any other error is raised.
    """
    if not name:
        if only:
            raise StatusError(f"Error: No such {kind}: ")
        return None
    try:
        return inspectors[kind](name)
    except NotFound:
        if only:
            raise
    except Exception as error:
        if only or not any(text in str(error) for text in SKIPPABLE):
            raise
    return None
