"""The ``hawse publish`` command, which Docker does not have: publish more ports of an existing container."""

from __future__ import annotations

import click

from cli.app import FLAG_ERROR, App, StatusError
from cli.options.image_reference import container_path_segment
from cli.options.ports import published_ports
from cli.pflag import LIST, at_least, command, flag


@command(
    "publish [OPTIONS] CONTAINER [[[IP:]HOST_PORT:]PRIVATE_PORT[/PROTO]...]", "Publish ports of an existing container",
    at_least(1), aliases="hawse container publish, hawse publish",
)  # fmt: skip
@flag("--publish", "-p", kind=LIST, usage="Publish a container's port(s) to the host")
@click.argument("container")
@click.argument("ports", nargs=-1)
@click.pass_obj
def publish(app: App, container: str, ports: tuple[str, ...], publish: tuple[str, ...]) -> None:
    """Publish the ports given as arguments or with ``-p``; print the container's name as the user typed it."""
    try:
        specs = published_ports([*ports, *publish])
        if not specs:
            raise ValueError("nothing to publish: give at least one -p")
    except ValueError as error:
        raise StatusError(f"{error}\nSee 'hawse publish --help'.", FLAG_ERROR) from error
    app.engine.containers.publish(container_path_segment(container), specs)
    app.out_lines([container])
