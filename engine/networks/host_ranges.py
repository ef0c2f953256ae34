"""The addresses that a host uses besides its networks', which automatic subnets keep clear of."""

from __future__ import annotations

from collections.abc import Container, Sequence
from ipaddress import ip_address

from drivers.linux.host import interface_ranges
from engine.etc_files.host_resolv_conf import read_host
from engine.etc_files.resolv_conf import parse
from engine.ipam.overlap import Range


def used_ranges(versions: Container[int] = (4, 6)) -> dict[int, Sequence[Range]]:
    """What is on the host's interfaces, and its name servers: by IP version, nothing of one that is not asked for."""
    found = {version: interface_ranges(version) if version in versions else [] for version in (4, 6)}
    for server in parse(read_host()).servers:
        address = ip_address(server.partition("%")[0])
        if address.version in versions:
            found[address.version].append((int(address), int(address)))
    return dict(found)
