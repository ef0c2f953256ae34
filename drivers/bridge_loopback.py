"""The sysctl ``route_localnet``, which lets the host reach published ports at 127.0.0.1.

It concerns ports published on 0.0.0.0 or on a loopback address. Only with ``route_localnet`` can the host's packets
from 127.0.0.1 leave by a bridge and their answers come in. However, it would also let containers reach services that
listen on the host's 127.0.0.1. The firewall's rules prevent this. While those rules are lost, the agent's own table
(``standby.nft``) prevents it.

Because no rule is needed while it is off, it is on only for bridges that need it. A command switches it on when it
publishes a port. `compare` finds bridges where it can be switched off again.
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
    """Return whether any of the ports is reached at a loopback address by IPv4 DNAT."""
    if network.internal or endpoint.ipv4 is None or not options.mode4.startswith("nat"):
        return False
    return any(p.host_ip.version == 4 and (p.host_ip.is_unspecified or p.host_ip.is_loopback) for p in ports)


def switch_on(bridge: str) -> None:
    """Switch ``route_localnet`` on for a bridge; idempotent."""
    sysctl.write(_path(bridge), ON)


def switch_off(bridge: str) -> None:
    """Switch ``route_localnet`` off for a bridge; idempotent. A missing bridge is ignored."""
    sysctl.write_if_present(_path(bridge), OFF)


def compare(bridges: Iterable[tuple[str, bool | None]]) -> Iterator[Difference]:
    """Yield the bridges whose ``route_localnet`` is wrong.

    ``bridges`` has each bridge with the wanted state, or with None if the state is not decided yet.
    """
    for bridge, enabled in bridges:
        value = sysctl.read(_path(bridge)) if enabled is not None else None
        if value is not None and (value == ON) != enabled:
            kind = "missing" if enabled else "upkeep"
            yield Difference(kind, PLACE, bridge)


def repair(differences: Sequence[Difference]) -> None:
    """Repair what `compare` found."""
    for difference in differences:
        if difference.kind == "missing":
            switch_on(difference.what)
        else:
            switch_off(difference.what)


def _path(bridge: str) -> str:
    return sysctl.conf("ipv4", bridge, "route_localnet")
