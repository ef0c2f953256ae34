"""Ports published on 0.0.0.0 or on a loopback address answer the host itself at 127.0.0.1: what that takes of a bridge.

The host's packets from 127.0.0.1 may leave by a bridge, and their answers come in, only where ``route_localnet`` is on.
Containers could then write to services that listen on the host's 127.0.0.1. The firewall's rules keep them from it, and
the agent's own table does while those are lost (``standby.nft``). No rule is needed where it is off, so it is on for
bridges alone that need it. A command switches it on with the port; `compare` finds where it can be off again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from drivers.api import Difference, EndpointSpec, NetworkSpec, PortBinding
from drivers.bridge_options import BridgeOptions
from drivers.linux import sysctl

ON, OFF = "1", "0"
PLACE = "route_localnet"


def is_needed(
    network: NetworkSpec, options: BridgeOptions, endpoint: EndpointSpec, ports: Iterable[PortBinding]
) -> bool:
    """Tell whether any of an endpoint's ports answers at a loopback address by rewriting IPv4 packets."""
    if network.internal or endpoint.ipv4 is None or not options.mode4.startswith("nat"):
        return False
    return any(p.host_ip.version == 4 and (p.host_ip.is_unspecified or p.host_ip.is_loopback) for p in ports)


def switch_on(bridge: str) -> None:
    """Let the host's loopback addresses be routed over a bridge; idempotent."""
    sysctl.write(_path(bridge), ON)


def switch_off(bridge: str) -> None:
    """End that; idempotent, and nothing to do where the bridge is gone."""
    sysctl.write_if_present(_path(bridge), OFF)


def compare(bridges: Iterable[tuple[str, bool | None]]) -> Iterator[Difference]:
    """Tell which bridges are not as they should be: each with whether it is to be on, None where that is unsettled."""
    for bridge, wanted in bridges:
        found = sysctl.read(_path(bridge)) if wanted is not None else None
        if found is not None and (found == ON) != wanted:
            kind = "missing" if wanted else "upkeep"
            yield Difference(kind, PLACE, bridge)


def repair(found: Sequence[Difference]) -> None:
    """Put right what `compare` found."""
    for difference in found:
        if difference.kind == "missing":
            switch_on(difference.what)
        else:
            switch_off(difference.what)


def _path(bridge: str) -> str:
    return sysctl.conf("ipv4", bridge, "route_localnet")
