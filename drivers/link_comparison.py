"""Compare a link (a bridge, a port or an interface) with the link that the driver made: state, addresses and sysctls.

The functions only make `Difference` values, and change nothing in the kernel. A parameter ``place`` is the value of
`Difference.place`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drivers.linux import address, route, sysctl
from drivers.linux.netlink import Session
from drivers.model import ARP, ISOLATED, KIND, MAC, MASTER, MTU, UP, Difference, IPInterface


def no_bridge(name: str, kind: str) -> Difference:
    """Return the difference for a link that should be a bridge but is of another ``kind`` ("" if unknown)."""
    return Difference("changed", "bridge", f"{name} is a {kind or 'device'}, not a bridge", subject=name, setting=KIND)


def down(place: str, name: str) -> Difference:
    """Return the difference for a link that is down."""
    return Difference("changed", place, f"{name} is down", subject=name, setting=UP)


def wrong_settings(place: str, name: str, settings: Mapping[str, int]) -> list[Difference]:
    """Return a list with one difference that names all wrong settings of a bridge; empty if no setting is wrong.

    ``settings`` maps each wrong setting to its present value.
    """
    shown = ", ".join(f"{setting.removeprefix('br_')} {value}" for setting, value in settings.items())
    return [Difference("changed", place, f"{name} has {shown}", subject=name)] if shown else []


def without_arp(place: str, name: str) -> Difference:
    """Return the difference for a link whose ARP is off."""
    return Difference("changed", place, f"{name} has ARP off", subject=name, setting=ARP)


def wrong_mac(place: str, name: str, mac: str) -> Difference:
    """Return the difference for a link with the wrong MAC ``mac``."""
    return Difference("changed", place, f"{name} has the MAC {mac}", subject=name, setting=MAC)


def small_mtu(name: str, mtu: int) -> Difference:
    """Return the difference for an interface whose MTU is too small for IPv6."""
    what = f"{name} has the MTU {mtu}, which is too small for IPv6"
    return Difference("changed", "interface", what, subject=name, setting=MTU)


def wrong_mtu(place: str, name: str, mtu: int, required: int) -> Difference:
    """Return the difference for a link that has the MTU ``mtu`` instead of ``required``."""
    return Difference("changed", place, f"{name} has the MTU {mtu} instead of {required}", subject=name, setting=MTU)


def off_bridge(place: str, port: str, bridge: str) -> Difference:
    """Return the difference for a port that is not on its bridge."""
    return Difference("changed", place, f"{port} is not on {bridge}", subject=port, setting=MASTER)


def wrong_flag(place: str, port: str, flag: str, value: int) -> Difference:
    """Return the difference for a port whose bridge flag has the wrong value ``value``."""
    if flag == ISOLATED:
        what, opens = f"{port} is {'isolated' if value else 'not isolated'}", not value
    else:
        what, opens = f"{port} has {flag} {value}", False
    return Difference("changed", place, what, opens, subject=port, setting=flag, value=value)


def addresses(opened: Session, index: int, name: str, required: Iterable[IPInterface]) -> list[Difference]:
    """Return a difference for each required address that a link lacks, and for each missing route to its subnet.

    ``index`` and ``name`` are those of the link.
    """
    held, required = address.of_link(opened, index), list(required)
    lost = [
        Difference("missing", "address", f"{item} on {name}", subject=str(item))
        for item in required
        if item not in held
    ]
    return lost + [
        Difference("missing", "route", f"{item.network} on {name}", subject=str(item.network))
        for item in required
        if item in held and not route.has_connected(opened, item, name)
    ]


def sysctls(required: Mapping[str, str]) -> list[Difference]:
    """Return a difference for each required sysctl (path, value) that has another value.

    A sysctl that the kernel does not have is ignored.
    """
    return [
        Difference("changed", "sysctl", sysctl.name_of(path))
        for path, value in required.items()
        if sysctl.read(path) not in (None, value)
    ]
