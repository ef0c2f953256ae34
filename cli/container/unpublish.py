"""The ``hawse unpublish`` command, which Docker does not have: remove published ports of a container."""

from __future__ import annotations

import click

from cli.app import FLAG_ERROR, App, StatusError
from cli.options.image_reference import container_path_segment
from cli.options.ports import PROTOCOLS, port_range, split_protocol
from cli.pflag import at_least, command


@command(
    "unpublish CONTAINER PRIVATE_PORT[/PROTO] [PRIVATE_PORT[/PROTO]...]", "Unpublish ports of a container",
    at_least(2), aliases="hawse container unpublish, hawse unpublish",
)  # fmt: skip
@click.argument("container")
@click.argument("ports", nargs=-1)
@click.pass_obj
def unpublish(app: App, container: str, ports: tuple[str, ...]) -> None:
    """Stop publishing these ports of a container and print the container's name as the user typed it."""
    for first, last, protocol in [container_ports(text) for text in ports]:
        app.engine.containers.unpublish(container_path_segment(container), first, last, protocol)
    app.out_lines([container])


def container_ports(text: str) -> tuple[int, int, str]:
    """Parse ``80``, ``53/udp`` or ``8000-8002`` into first port, last port and protocol; raises StatusError."""
    protocol, port = split_protocol(text)
    try:
        start, end = port_range(port)
    except ValueError:
        raise StatusError(f"Invalid containerPort: {port}\nSee 'hawse unpublish --help'.", FLAG_ERROR) from None
    if protocol.lower() not in PROTOCOLS:
        raise StatusError(f"Invalid proto: {protocol}\nSee 'hawse unpublish --help'.", FLAG_ERROR)
    return start, end, protocol.lower()
