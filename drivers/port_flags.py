"""Compare a bridge port with its required bridge, flags and state; restore its flags and its state.

A parameter ``chosen`` maps the flags that the driver sets to their right values. All other flags must have the kernel's
values for a new port (`USUAL`). The state must be "forwarding".
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers import link_comparison
from drivers.linux import link
from drivers.linux.netlink import Session
from drivers.model import Difference

USUAL = {
    "flood": 1,
    "mcast_flood": 1,
    "bcast_flood": 1,
    "locked": 0,
    "mab": 0,
    "neigh_suppress": 0,
    "proxy_arp": 0,
    "mcast_to_unicast": 0,
    "vlan_tunnel": 0,
    "guard": 0,
}
"""The flags that the kernel gives to a new bridge port, and that the drivers leave unchanged.

A repair restores these flags if another program has changed them.
"""


def compare(
    opened: Session, port: link.Link, bridge: str, chosen: Mapping[str, int], place: str = "port"
) -> list[Difference]:
    """Return a difference if a port is not on its bridge, else a difference for each wrong flag.

    ``place`` is the value of `Difference.place`.
    """
    if port.master != link.index(bridge):
        return [link_comparison.off_bridge(place, port.name, bridge)]
    different = _wrong(opened, port.name, bridge, chosen)
    return [link_comparison.wrong_flag(place, port.name, flag, value) for flag, value in different.items()]


def _wrong(opened: Session, port: str, bridge: str, chosen: Mapping[str, int]) -> dict[str, int]:
    """Return a mapping from each wrong bridge flag of a port to the flag's present value.

    A wrong value blocks packets or lets too many packets pass. The flag "state" is not compared if the kernel controls
    it: the port has no carrier, the bridge is down, or the bridge runs the spanning tree protocol.
    """
    flags, required = link.port_flags(opened, port), {**USUAL, **chosen, "state": link.FORWARDING}
    different = {flag: value for flag, value in flags.items() if value != required[flag]}
    if "state" in different and (_kernel_sets_states(opened, bridge) or not link.has_carrier(opened, port)):
        del different["state"]
    return different


def restore(opened: Session, port: str, bridge: str, chosen: Mapping[str, int]) -> None:
    """Restore the wrong flags and the state of a port that is on ``bridge`` and up; idempotent."""
    required = {**USUAL, **chosen, "state": link.FORWARDING}
    restored = {flag: required[flag] for flag in _wrong(opened, port, bridge, chosen)}
    if restored:
        link.set_bridge_port(opened, link.index(port), **restored)


def _kernel_sets_states(opened: Session, bridge: str) -> bool:
    present = link.find(opened, bridge)
    if present is None or not present.up:
        return True
    return bool(link.kind_attributes(opened, bridge).get_attr("IFLA_BR_STP_STATE"))
