"""The ``hawse unpublish`` command, which Docker does not have: remove published ports of a container.

An argument names a container port (``80``), or one publication in the form of ``hawse publish`` (``8080:80``). The
second form leaves other publications of the same container port unchanged.
"""

from __future__ import annotations

import click

from cli.app import FLAG_ERROR, App, StatusError
from cli.options.image_reference import container_path_segment
from cli.options.ports import PROTOCOLS, parse_port_spec, port_range, published_ports, split_protocol
from cli.pflag import LIST, at_least, command, flag
from engine.model import PortSpec


@command(
    "unpublish [OPTIONS] CONTAINER [[[IP:]HOST_PORT:]PRIVATE_PORT[/PROTO]...]", "Unpublish ports of a container",
    at_least(1), aliases="hawse container unpublish, hawse unpublish",
)  # fmt: skip
@flag("--publish", "-p", kind=LIST, usage="Unpublish this port, given as it was published")
@click.argument("container")
@click.argument("ports", nargs=-1)
@click.pass_obj
def unpublish(app: App, container: str, ports: tuple[str, ...], publish: tuple[str, ...]) -> None:
    """Stop publishing the ports given as arguments or with ``-p``; print the container's name as the user typed it."""
    try:
        specs = [*map(port_spec, ports), *published_ports(publish)]
        if not specs:
            raise ValueError("nothing to unpublish: give at least one port")
    except ValueError as error:
        raise StatusError(f"{error}\nSee 'hawse unpublish --help'.", FLAG_ERROR) from error
    app.engine.containers.unpublish(container_path_segment(container), specs)
    app.out_lines([container])


def port_spec(text: str) -> PortSpec:
    """Parse ``80/udp``, ``8000-8002`` or a publication such as ``8080:80``; raises ValueError.

    Without a protocol, the protocol is tcp.
    """
    if ":" in text:
        return parse_port_spec(text)
    protocol, port = split_protocol(text)
    try:
        first, last = port_range(port)
    except ValueError:
        raise ValueError(f"Invalid containerPort: {port}") from None
    if protocol.lower() not in PROTOCOLS:
        raise ValueError(f"Invalid proto: {protocol}")
    return PortSpec(protocol.lower(), first, port_end=last if last > first else 0)
