"""Forwarding between interfaces: switched on for bridges, never left open for others.

What was switched on is remembered in the table itself, as elements, so it outlives every process and goes with the
rules that make it safe: a family in the set ``forwarding`` is one whose strangers' packets are dropped. Callers keep
`kept` elsewhere too, for the case that somebody flushes the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drivers.firewall import table
from drivers.firewall.elements import Element, name
from drivers.linux import sysctl

STATE_SETS = ("forwarding", "router_advertisements")
SWITCH = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
IGNORED = ("all", "default", "lo")

_switched: list[Element] = []


def plan(versions: Iterable[int]) -> list[Element]:
    """The elements that have to be in the table before `switch_on`; none for a family that forwards already."""
    off = [v for v in versions if sysctl.read(SWITCH[v]) == "0"]
    found = [Element("forwarding", f"ipv{v}") for v in off]
    if 6 in off:
        found += [Element("router_advertisements", name(i)) for i in _listening()]
    return found


def kept() -> list[str]:
    """What this process has switched on, as words for `recalled`."""
    return [f"{element.set} {element.key}" for element in _switched]


def recalled(words: Iterable[str]) -> list[Element]:
    """The elements that remember what was switched on, from the words of `kept`."""
    return [Element(*word.split(" ", 1)) for word in words]


def switch_on(planned: Sequence[Element]) -> None:
    """Switch on what `plan` found off; interfaces that got their routes from router advertisements keep doing so."""
    _switched.extend(planned)
    for interface in _interfaces(planned):
        # With forwarding on, 1 would mean "off".
        sysctl.write(_accept_ra(interface), "2")
    for version, path in SWITCH.items():
        if Element("forwarding", f"ipv{version}") in planned:
            sysctl.write(path, "1")


def restore() -> None:
    """Switch off what `switch_on` had switched on, by the table's own memory; idempotent."""
    for version, path in SWITCH.items():
        if Element("forwarding", f"ipv{version}") in table.elements("forwarding"):
            sysctl.write(path, "0")
    for interface in _interfaces(table.elements("router_advertisements")):
        sysctl.write_if_present(_accept_ra(interface), "1")


def _listening() -> list[str]:
    directory = sysctl.ROOT / "net/ipv6/conf"
    names = sorted(p.name for p in directory.iterdir()) if directory.is_dir() else []
    return [i for i in names if i not in IGNORED and sysctl.read(_accept_ra(i)) == "1"]


def _interfaces(elements: Iterable[Element]) -> list[str]:
    return [e.key.strip('"') for e in elements if e.set == "router_advertisements"]


def _accept_ra(interface: str) -> str:
    return sysctl.conf("ipv6", interface, "accept_ra")
