"""The sysctl ``route_localnet``, which lets the host reach published ports at 127.0.0.1.

Ports published on 0.0.0.0 or on a loopback address need ``route_localnet``. The sysctl lets packets from 127.0.0.1
leave the host by a bridge, and lets the answers to these packets come in. However, the sysctl would also let containers
reach services that listen on the host's 127.0.0.1. The firewall's rules block such packets. If another program removes
these rules, a table of the agent blocks such packets until the rules are restored. The file ``standby.nft`` describes
that table.

``route_localnet`` is on only for bridges that need it, because it is safe only together with these firewall rules. A
command switches ``route_localnet`` on when the command publishes a port. `compare` finds bridges where
``route_localnet`` can be switched off again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from drivers.bridge_options import BridgeOptions
from drivers.linux import sysctl
from drivers.model import Difference, EndpointSpec, NetworkSpec, PortBinding

ON, OFF = "1", "0"
PLACE = "route_localnet"


def is_needed_by(network: NetworkSpec, options: BridgeOptions, endpoints: Iterable[EndpointSpec]) -> bool:
    """Return whether clients on the host need ``route_localnet`` to reach any published port of ``endpoints``."""
    return any(is_needed(network, options, endpoint, endpoint.ports) for endpoint in endpoints)


def is_needed(
    network: NetworkSpec, options: BridgeOptions, endpoint: EndpointSpec, ports: Iterable[PortBinding]
) -> bool:
    """Return whether clients on the host need ``route_localnet`` to reach any of the ports at 127.0.0.1.

    Only ports that are published by DNAT need ``route_localnet``.
    """
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
    """Yield a difference for each bridge whose ``route_localnet`` has the wrong value.

    ``bridges`` pairs the name of each bridge with True (must be on), False (must be off) or None (may be on or off).
    """
    for bridge, enabled in bridges:
        value = sysctl.read(_path(bridge)) if enabled is not None else None
        if value is not None and (value == ON) != enabled:
            kind = "missing" if enabled else "upkeep"
            yield Difference(kind, PLACE, bridge)


def repair(differences: Sequence[Difference]) -> None:
    """Switch ``route_localnet`` on or off for each bridge in the ``differences`` that `compare` found."""
    for difference in differences:
        if difference.kind == "missing":
            switch_on(difference.what)
        else:
            switch_off(difference.what)


def _path(bridge: str) -> str:
    return sysctl.conf("ipv4", bridge, "route_localnet")
