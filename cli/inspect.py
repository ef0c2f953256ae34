"""``hawse inspect``: a container, an image or a network, whichever has the name."""

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
@flag("--size", "-s", usage="Display total file sizes if the type is container")
@flag("--type", kind=STRING, usage="Return JSON for specified type")
@click.argument("names", nargs=-1)
@click.pass_obj
def inspect(app: App, names: tuple[str, ...], format: str, size: bool, type: str) -> None:
    """Print the document of each name's first bearer: containers before images before networks."""
    if type not in DOCKERS_TYPES:
        raise StatusError(f"{quote(type)} is not a valid value for --type")
    inspectors = inspectors_of(app, size=size)
    if type and type not in inspectors:
        inspectors = {type: lambda name: absent(app, type, name)}
    wanted = [type] if type else list(inspectors)

    def fetch(name: str) -> tuple[str, Json]:
        for kind in wanted:
            document = find(inspectors, kind, name, only=bool(type))
            if document is not None:
                if size and kind != "container":
                    app.err(f"WARNING: --size ignored for {kind}\n")
                return kind, document
        raise StatusError(f"Error: No such object: {app.line(name, app.stderr)}")

    inspect_all(app, names, format, inspectors, fetch)


def inspectors_of(app: App, *, size: bool) -> dict[str, Callable[[str], Json]]:
    """How each kind of object is looked up, in Docker's order; its verbs stay unloaded until needed."""
    return {
        "container": lambda name: app.engine.containers.inspect(path_segment(name), size=size),
        "image": lambda name: app.engine.images.inspect(path_segment(name)),
        "network": lambda name: app.engine.networks.inspect(path_segment(name)),
    }


def absent(app: App, kind: str, name: str) -> Json:
    """Refuse to find what hawse has none of, in the words of a Docker that has none."""
    if kind in ABSENT:
        raise NotFound(ABSENT[kind].format(name=name))
    if kind == "node":
        return app.engine.swarm.inspect_node(name)
    app.engine.swarm.inspect_node("self")  # what Docker says to a host that manages no swarm
    raise NotFound(f"{kind} {name} not found")


def find(inspectors: dict[str, Callable[[str], Json]], kind: str, name: str, *, only: bool) -> Json | None:
    """Look a name up among one kind; None when it is not there and other kinds may follow."""
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
