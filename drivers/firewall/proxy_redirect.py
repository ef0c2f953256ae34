"""Leads the ports that the agent carries to its few sockets: one a protocol, however many ports there are.

Which ports those are is in the sets ``relayed_any`` and ``relayed``, written with the other elements of ports.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.firewall import table, transaction
from drivers.firewall.elements import Element
from drivers.firewall.encoding import NUMBERS
from drivers.firewall.proxied_ports import PROTOCOLS

PORTS, SOCKETS = "relay", "relay_sockets"
STATE_SETS = (PORTS, SOCKETS)


def redirect_to(ports: Mapping[str, int]) -> None:
    """Lead relayed ports to these sockets (protocol to port) and nowhere else; idempotent."""
    unused = [Element(PORTS, protocol) for protocol in PROTOCOLS if protocol not in ports]
    old = [Element(SOCKETS, f"{protocol} . {port}") for protocol, port in sockets() - ports.items()]
    table.change(add=elements(ports), remove=[*unused, *old])


def elements(ports: Mapping[str, int]) -> list[Element]:
    """The elements that lead relayed ports to these sockets."""
    found = [Element(PORTS, protocol, str(port)) for protocol, port in ports.items()]
    return found + [Element(SOCKETS, f"{protocol} . {port}") for protocol, port in ports.items()]


def sockets() -> set[tuple[str, int]]:
    """Protocol and port of each socket that relayed ports lead to."""
    names = {NUMBERS[protocol]: protocol for protocol in PROTOCOLS}
    listed = transaction.held(table.TABLE, [SOCKETS])[SOCKETS]
    return {(names[e.key[0]], int.from_bytes(e.key[4:6])) for e in listed if e.key[0] in names}
