"""Test whether the kernel supports a kind of link, by creating such a link in a temporary network namespace."""

from __future__ import annotations

from typing import Any

from drivers.errors import KernelError
from drivers.linux import link, netns
from drivers.linux.netlink import Session

PARENT, PROBE = "parent", "probe"
MACS = ("02:42:00:00:00:01", "02:42:00:00:00:02")
WITH_PARENT: dict[str, dict[str, Any]] = {"vlan": {"vlan_id": 1}, "macvlan": {}, "ipvlan": {}}
"""The kinds of links that need a parent, with the other settings that they need."""
ALONE: dict[str, dict[str, Any]] = {"bridge": {}, "dummy": {}, "vxlan": {"vxlan_id": 1, "vxlan_port": link.VXLAN_PORT}}


def require(kind: str) -> None:
    """Check that the kernel supports a kind of link, such as "vxlan"; raises OSError if it does not.

    The check creates such a link in a temporary network namespace. Kinds without an entry in this module are not
    tested.
    """
    if kind not in (*WITH_PARENT, *ALONE):
        return
    with netns.new_netns(), Session() as scratch:
        try:
            if kind in WITH_PARENT:
                link.add_veth(scratch, PARENT, {"ifname": "other", "address": MACS[0]}, address=MACS[1])
                link.add(scratch, PROBE, kind, link=link.index(PARENT), **WITH_PARENT[kind])
            else:
                link.add(scratch, PROBE, kind, **ALONE[kind])
        except KernelError as error:
            raise OSError(error.errno, "refused by the kernel") from error
