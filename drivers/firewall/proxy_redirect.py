"""Redirection of proxied ports to the agent's sockets: one socket per protocol, for any number of ports.

`drivers.firewall.elements` makes the elements of the sets ``relayed_any`` and ``relayed``, which hold the proxied
ports.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.firewall import table, transaction
from drivers.firewall.elements import Element
from drivers.firewall.encoding import NUMBERS
from drivers.firewall.proxied_ports import PROTOCOLS
from drivers.linux import conntrack

PORTS, SOCKETS = "relay", "relay_sockets"
STATE_SETS = (PORTS, SOCKETS)


def redirect_to(ports: Mapping[str, int]) -> None:
    """Redirect the proxied ports to the agent's sockets in ``ports``, and to no other sockets; idempotent.

    ``ports`` maps each protocol to the port of the agent's socket for that protocol. Conntrack entries of UDP flows to
    earlier sockets are deleted, because these entries would lead the clients' next packets to a closed port.
    """
    unused = [Element(PORTS, protocol) for protocol in PROTOCOLS if protocol not in ports]
    old = sockets() - ports.items()
    closed = [Element(SOCKETS, f"{protocol} . {port}") for protocol, port in old]
    table.change(add=elements(ports), remove=[*unused, *closed])
    for protocol, port in old:
        if protocol == "udp":  # a TCP flow ends with its connection; a UDP flow may go on, to the closed port
            conntrack.forget_redirected(port)


def elements(ports: Mapping[str, int]) -> list[Element]:
    """Return the set elements that redirect the packets for proxied ports to the agent's sockets.

    ``ports`` maps each protocol to the port of the agent's socket for that protocol.
    """
    entries = [Element(PORTS, protocol, str(port)) for protocol, port in ports.items()]
    return entries + [Element(SOCKETS, f"{protocol} . {port}") for protocol, port in ports.items()]


def sockets() -> set[tuple[str, int]]:
    """Return protocol and port of each socket to which the firewall redirects proxied ports."""
    names = {NUMBERS[protocol]: protocol for protocol in PROTOCOLS}
    listed = transaction.held(table.TABLE, [SOCKETS])[SOCKETS]
    return {(names[e.key[0]], int.from_bytes(e.key[4:6])) for e in listed if e.key[0] in names}
