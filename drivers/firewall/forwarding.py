"""IP forwarding: switched on for hawse's bridges, and blocked for all other interfaces.

If hawse has switched forwarding on for an address family, the nftables set ``forwarding`` has an element for it. The
firewall's rules then drop this family's packets that neither come from nor go to a bridge.

The kernel keeps the elements after the end of every hawse process. If another program flushes the table, hawse restores
the elements from the engine's database, which stores the lines that `kept` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from drivers.firewall import table
from drivers.firewall.elements import Element, name
from drivers.linux import persistent_netns, recording, sysctl

STATE_SETS = ("forwarding", "router_advertisements")
SWITCH = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
IGNORED = ("all", "default", "lo")
ATTEMPTS_LIMIT = 10  # maximum number of times that IPv4 forwarding is switched off and on again

_switched: list[Element] = []


def plan(versions: Iterable[int]) -> list[Element]:
    """Return the set elements that record which sysctls `switch_on` will change.

    The caller adds these elements to the table before it calls `switch_on`. If the host already forwards packets of an
    IP version in ``versions``, the result contains no elements for this version.
    """
    off = [v for v in versions if sysctl.read(SWITCH[v]) == "0"]
    entries = [Element("forwarding", f"ipv{v}") for v in off]
    if 6 in off:
        entries += [Element("router_advertisements", name(i)) for i in _listening()]
    return entries


def kept() -> list[str]:
    """Return the set elements of the sysctls that this process changed, as text lines.

    Each line is the set's name and the element's key: an address family or an interface. The function `recalled`
    converts the lines back to set elements.
    """
    return [f"{element.set} {element.key}" for element in _switched]


def recalled(words: Iterable[str]) -> list[Element]:
    """Convert text lines that `kept` has returned back to set elements."""
    return [Element(*word.split(" ", 1)) for word in words]


def switch_on(planned: Sequence[Element], run: Path) -> None:
    """Switch on IP forwarding for the address families in ``planned``, which `plan` returned.

    ``run`` is HAWSE_RUN. Interfaces that accept router advertisements continue to accept them (accept_ra=2). An
    interface in ``planned`` is skipped if it no longer exists, or if its accept_ra is no longer 1. For example, another
    command may have switched off accept_ra on a new bridge after the call of `plan`.

    Only one process of hawse at a time writes the sysctls (see `_forward_on_interfaces`).
    """
    if not planned:
        return
    _switched.extend(planned)
    for interface in _interfaces(planned):
        # Write 2, because the kernel treats accept_ra=1 as "off" while forwarding is on.
        _replace(_accept_ra(interface), "1", "2")
    with persistent_netns.directory_lock(run / "forwarding"):
        for version, path in SWITCH.items():
            if Element("forwarding", f"ipv{version}") in planned:
                sysctl.write(path, "1")
        if Element("forwarding", "ipv4") in planned and not recording.is_dry_run():
            _forward_on_interfaces()


def restore() -> None:
    """Restore the sysctls that `switch_on` changed: IP forwarding and accept_ra; idempotent.

    The elements in the table ``inet hawse`` name the changed address families and interfaces. An interface's accept_ra
    stays unchanged if it no longer has the value that `switch_on` wrote.
    """
    for version, path in SWITCH.items():
        if Element("forwarding", f"ipv{version}") in table.elements("forwarding"):
            sysctl.write(path, "0")
    for interface in _interfaces(table.elements("router_advertisements")):
        _replace(_accept_ra(interface), "2", "1")


def _forward_on_interfaces() -> None:
    """Switch IPv4 forwarding off and on again if it is on for the host, but off for the interfaces.

    If two processes write net.ipv4.ip_forward at the same time, the kernel may set it to 1 and leave the sysctl
    ``forwarding`` of every interface at 0 (devinet_sysctl_forward, Linux 6.18). The other process may be dockerd.
    """
    for _ in range(ATTEMPTS_LIMIT):
        if sysctl.read(sysctl.conf("ipv4", "default", "forwarding")) != "0":
            return
        sysctl.write(SWITCH[4], "0")
        sysctl.write(SWITCH[4], "1")


def _replace(path: str, before: str, after: str) -> None:
    """Set a sysctl to ``after`` if it exists and its value is ``before``."""
    if sysctl.read(path) == before:
        sysctl.write_if_present(path, after)


def _listening() -> list[str]:
    directory = sysctl.ROOT / "net/ipv6/conf"
    names = sorted(p.name for p in directory.iterdir()) if directory.is_dir() else []
    return [i for i in names if i not in IGNORED and sysctl.read(_accept_ra(i)) == "1"]


def _interfaces(elements: Iterable[Element]) -> list[str]:
    return [e.key.strip('"') for e in elements if e.set == "router_advertisements"]


def _accept_ra(interface: str) -> str:
    return sysctl.conf("ipv6", interface, "accept_ra")
