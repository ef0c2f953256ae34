"""Functions for all drawings of a network map: they group containers by host, shorten texts and choose colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cli.output.terminal_escapes import escaped_line
from cli.output.text import ellipsis

Json = Mapping[str, Any]
"""The network map, or one of the networks or containers in it."""
LONGEST = 48
"""Maximum width of a name in terminal columns. A longer name is cut."""
EVERYWHERE = ("0.0.0.0:", "[::]:")
COLOURS = {
    "bridge": "#2563eb", "overlay": "#7c3aed", "macvlan": "#059669", "ipvlan": "#0d9488", "host": "#d97706",
    "null": "#64748b",
}  # fmt: skip
OTHER_COLOUR = "#db2777"


class HostGroup(NamedTuple):
    """The containers that one host has on a network.

    ``title`` names the host, and is "" if the network exists on this host only.
    """

    title: str
    containers: Sequence[Json]


def groups(network: Json) -> list[HostGroup]:
    """Return the containers of a network by host, in the order of the hosts' names.

    A title has the host's name and address, such as "web1 (192.0.2.7, this host)". If the map has no hosts for the
    network, there is one group with the title "".
    """
    if not network["Hosts"]:
        return [HostGroup("", network["Containers"])]
    named = []
    for host in network["Hosts"]:
        host_id = "" if host["Here"] else host["Id"]
        here = ", this host" if host["Here"] else ""
        members = [container for container in network["Containers"] if container["HostId"] == host_id]
        named.append(HostGroup(f"{host['Name']} ({host['Address']}{here})", members))
    return named


def clean(data: str, longest: int = LONGEST) -> str:
    """Return the name ``data`` with its control characters escaped, and cut to ``longest`` terminal columns."""
    return ellipsis(escaped_line(data), longest)


def addresses(container: Json) -> list[str]:
    """Return the IPv4 and IPv6 address of a container on one network, without prefix lengths."""
    interfaces = (container["IPv4Address"], container["IPv6Address"])
    return [address.partition("/")[0] for address in interfaces if address]


def subnets(network: Json) -> list[str]:
    """Return the subnets of a network in CIDR notation."""
    return [pool["Subnet"] for pool in network["Subnets"]]


def facts(network: Json) -> list[str]:
    """Return the words beside a network's name: the driver, the subnets, and "internal" for an internal network."""
    return [network["Driver"], *subnets(network), *(["internal"] if network["Internal"] else [])]


def ports(container: Json) -> list[str]:
    """Return a container's published ports as short texts, without 0.0.0.0 and [::]; equal texts appear once.

    Example: "0.0.0.0:8080->80/tcp" gives "8080 → 80/tcp".
    """
    return list(dict.fromkeys(_short(port) for port in container["Ports"]))


def _short(port: str) -> str:
    for prefix in EVERYWHERE:
        port = port.removeprefix(prefix)
    return port.replace("->", " → ")


def also_on(document: Json) -> dict[str, list[str]]:
    """Return the names of each container's networks, by container id."""
    joined: dict[str, list[str]] = {}
    for network in document["Networks"]:
        for container in network["Containers"]:
            joined.setdefault(container["Id"], []).append(network["Name"])
    return joined


def colour(driver: str) -> str:
    """Return the colour of a driver's networks, such as "#2563eb"; a driver from another vendor has `OTHER_COLOUR`."""
    return COLOURS.get(driver, OTHER_COLOUR)


def drivers(document: Json) -> Iterable[str]:
    """Return the names of the drivers in a network map, each once."""
    return dict.fromkeys(network["Driver"] for network in document["Networks"])
