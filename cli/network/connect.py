"""The ``hawse network connect`` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.app import FLAG_ERROR, App, StatusError
from cli.options.hosts import link
from cli.options.image_reference import path_segment
from cli.options.ports import published_ports
from cli.pflag import INT, LIST, STRING, STRINGS, command, exactly, flag, list_of, scalar
from engine.model import Adoption, EndpointIPAM, EndpointSettings, PortSpec


def default_route(word: str) -> str:
    """Parse a ``--default-route`` value: return "yes", "no", or "" for "auto"; raises ValueError for any other value.

    Without the flag, the value is "" too.
    """
    if word not in ("yes", "no", "auto"):
        raise ValueError('must be "yes", "no" or "auto"')
    return "" if word == "auto" else word


def restart(word: str) -> str:
    """Check that a ``--restart`` value is "no" or "unless-stopped", and return it; raises ValueError otherwise."""
    if word not in ("no", "unless-stopped"):
        raise ValueError('must be "no" or "unless-stopped"')
    return word


RESTART = scalar("string", restart, "")
RESTART_USAGE = 'Connect a namespace again after a boot: "unless-stopped" (default) or "no"'
DEFAULT_ROUTE = scalar("string", default_route, "")
DEFAULT_ROUTE_USAGE = 'Use the network for the default route: "yes", "no", or "auto" (only without another one)'


@command("connect [OPTIONS] NETWORK CONTAINER", "Connect a container to a network", exactly(2))
@flag("--alias", kind=STRINGS, usage="Add network-scoped alias for the container")
@flag("--default-route", kind=DEFAULT_ROUTE, usage=DEFAULT_ROUTE_USAGE, hidden=True)
@flag("--driver-opt", kind=STRINGS, usage="driver options for the network")
@flag("--force", usage="Connect a namespace even if it belongs to a host", hidden=True)
@flag("--gw-priority", kind=INT, usage="Highest gw-priority provides the default gateway", hidden=True)
@flag("--ip", kind=STRING, usage='IPv4 address (e.g., "172.30.100.104")')
@flag("--ip6", kind=STRING, usage='IPv6 address (e.g., "2001:db8::33")')
@flag("--link", kind=list_of(link), usage="Add link to another container")
@flag("--link-local-ip", kind=STRINGS, usage="Add a link-local address for the container")
@flag("--name", kind=STRING, usage="Name of a namespace that hawse did not create", hidden=True)
@flag("--publish", "-p", kind=LIST, usage="Publish a container's port(s) to the host", hidden=True)
@flag("--restart", kind=RESTART, usage=RESTART_USAGE, hidden=True)
@click.argument("network")
@click.argument("container")
@click.pass_obj
def connect(app: App, /, network: str, container: str, **flags: Any) -> None:
    """Connect one container to one network, with the settings in ``flags``."""
    settings = EndpointSettings(
        ipam=EndpointIPAM(flags["ip"], flags["ip6"], flags["link_local_ip"]),
        links=flags["link"] or None,
        aliases=flags["alias"],
        driver_opts=driver_options(flags["driver_opt"]),
        gw_priority=flags["gw_priority"],
        default_route=flags["default_route"],
    )
    published = ports(flags["publish"])
    adoption = Adoption(flags["name"], flags["restart"], flags["force"])
    app.engine.networks.connect(path_segment(network), container, settings, published, adoption=adoption)


def driver_options(pairs: Sequence[str]) -> dict[str, str]:
    """Parse the ``key=value`` pairs of ``--driver-opt``; raises StatusError if a pair is invalid.

    Spaces around a key or a value are removed. If a key is given several times, the last value of the key is used.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise StatusError("invalid key/value pair format in driver options")
        options[key.strip()] = value.strip()
    return options


def ports(values: Sequence[str]) -> tuple[PortSpec, ...]:
    """Convert the values of ``-p`` to port specifications; raises StatusError if a value is invalid."""
    try:
        return published_ports(values)
    except ValueError as error:
        raise StatusError(f"{error}\nSee 'hawse network connect --help'.", FLAG_ERROR) from error
