"""Advice about settings of a new network that Docker accepts silently, but that the user perhaps does not want."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from drivers.bridge_options import NAME
from drivers.linux.features import foreign_subnets
from drivers.registry import available
from engine.api import Strings
from engine.host import Host
from engine.model import NetworkCreate
from engine.validate.nearest import nearest

DOCKERS_OPTIONS = "com.docker.network."


def lines(host: Host, request: NetworkCreate) -> Strings:
    """Return one line of advice for each setting in ``request`` that the user perhaps does not want.

    There are two kinds of such settings:

    - an option without an effect
    - a subnet that overlaps another subnet of the host, because packets to one of them take the route of the other
    """
    return [*_unknown_options(request), *_overlaps(host, request)]


def _unknown_options(request: NetworkCreate) -> Iterator[str]:
    known = {key for facts in available().values() for key in facts.options}
    for key in request.options:
        if key.startswith(DOCKERS_OPTIONS) and key not in known:
            meant = nearest(key, known)
            yield f"The option {key} has no effect{f'. Did you mean {meant}?' if meant else ''}"


def _overlaps(host: Host, request: NetworkCreate) -> Iterator[str]:
    """Yield one line for each subnet of the new bridge network that overlaps a subnet of a host interface.

    The check is only for subnets that the user chose, because hawse never chooses an overlapping subnet.
    """
    if not request.ipam_config:
        return
    with host.store.read() as reader:
        made = [n for n in reader.find_networks(request.name) if n.driver == "bridge" and not n.config_only]
    subnets = [ip_network(pool.subnet) for network in made for pool in network.pools if not pool.unused]
    for interface, address in foreign_subnets():
        for subnet in (s for s in subnets if s.version == address.version and address.network.overlaps(s)):
            if interface != request.options.get(NAME):
                yield (
                    f"The subnet {subnet} overlaps with {address} on {interface}: "
                    "packets to one of them take the route of the other"
                )
