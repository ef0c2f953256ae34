"""The ``hawse port`` command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from cli.app import App, StatusError
from cli.options.image_reference import container_path_segment
from cli.pflag import between, command
from engine.golang.strconv import parse_uint
from engine.names import natural_key

PortMap = Mapping[str, Sequence[Mapping[str, str]] | None]
"""Maps a container port such as ``80/tcp`` to the host addresses and host ports on which it is published.

The form is that of NetworkSettings.Ports in the inspect document.
"""


@command(
    "port CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container",
    between(1, 2), aliases="hawse container port, hawse port",
)  # fmt: skip
@click.argument("container")
@click.argument("private_port", required=False)
@click.pass_obj
def port(app: App, container: str, private_port: str | None) -> None:
    """Print the host addresses and ports on which a container's ports are published.

    With ``private_port``, print only the host addresses and ports of this container port.
    """
    ports: PortMap = app.engine.containers.inspect(container_path_segment(container))["NetworkSettings"]["Ports"] or {}
    if private_port:
        lines = mappings_of(ports, private_port, container)
    else:
        lines = [f"{name} -> {address}" for name, bindings in ports.items() for address in addresses(bindings or ())]
    app.out_lines(sorted(lines, key=natural_key))


def mappings_of(ports: PortMap, container_port: str, container: str) -> list[str]:
    """Return the host addresses, with their ports, on which one container port is published.

    - ``ports``: maps container ports such as "80/tcp" to their bindings (see `addresses`), or to None if not published
    - ``container_port``: a port such as "80/udp"; without a protocol, the protocol is tcp
    - ``container``: the container's name in the error text

    Raises StatusError if the container port is invalid or not published.
    """
    number, _, protocol = container_port.partition("/")
    try:
        parse_uint(number, 16, base=10)
    except ValueError as error:
        raise StatusError(f"Error: invalid port ({number}): {error}") from error
    bindings = ports.get(f"{number}/{protocol or 'tcp'}")
    if bindings is None:
        raise StatusError(f"Error: No public port '{container_port}' published for {container}")
    return addresses(bindings)


def addresses(bindings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the host address and port of each binding, such as ``0.0.0.0:8080``; IPv6 addresses are in brackets.

    A binding has the keys "HostIp" and "HostPort".
    """
    return [
        f"[{b['HostIp']}]:{b['HostPort']}" if ":" in b["HostIp"] else f"{b['HostIp']}:{b['HostPort']}" for b in bindings
    ]
