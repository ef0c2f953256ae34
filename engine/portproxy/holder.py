"""The agent's service that binds a socket to each published host port, so that no other program can use the port.

No packet reaches such a socket while the firewall's rules exist, because the rules change the packet's destination. The
rules may be missing: after ``nft flush ruleset``, or before a command adds them. A filter of the socket then drops all
packets. The socket neither accepts nor refuses connections, so a client sends its SYN again.

As soon as the rules exist, a repeated SYN should reach the container. But the first SYN has left a conntrack entry, and
the kernel does not apply new rules to a connection with such an entry. Therefore the process that adds the rules
deletes the entry.
"""

from __future__ import annotations

import socket
import sys
from itertools import chain, islice

from drivers.linux import socket_filter
from engine.agent.service import ResultCache, Snapshot
from engine.ports.proxied import HostPort, held_ports, publishing

FREEBIND = {socket.AF_INET: (socket.IPPROTO_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, 78)}
"""The socket option (IP_FREEBIND) that allows binding an address that the host does not have now."""
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class HoldService:
    """Binds a socket to each published port of this host, so that no other program can use the port.

    At most ``limit`` ports get a socket. If another program has bound a port, the service tries again at each change of
    the store.
    """

    name = "hold"

    def __init__(self, limit: int) -> None:
        self._limit, self._of_endpoints = limit, ResultCache(held_ports)
        self._held: dict[HostPort, socket.socket] = {}
        self._refused: set[HostPort] = set()

    def reconcile(self, state: Snapshot) -> None:
        """Bind a socket to each published port of the snapshot ``state``; close the sockets of all other ports."""
        self._of_endpoints.update(publishing(state.networks, state.endpoints))
        ports = chain.from_iterable(self._of_endpoints.results.values())
        required = dict.fromkeys(islice(ports, self._limit))
        for port in self._held.keys() - required.keys():
            self._held.pop(port).close()
        self._refused &= required.keys()
        for port in required:
            if port not in self._held:
                self._hold(port)

    def _hold(self, port: HostPort) -> None:
        try:
            self._held[port] = held(port)
        except OSError as error:
            if port not in self._refused:
                self._refused.add(port)
                text = f"cannot hold {port.protocol} port {port.port} of {port.address}: {error}"
                print(text, file=sys.stderr, flush=True)

    def needed(self) -> bool:
        """Return whether the service has bound a socket to any port."""
        return bool(self._held)

    def close(self) -> None:
        """Close the sockets of all ports."""
        for sock in self._held.values():
            sock.close()
        self._held.clear()


def held(port: HostPort) -> socket.socket:
    """Return a socket that is bound to ``port`` and drops every packet; raises OSError if ``port`` is in use."""
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    sock = socket.socket(family, KINDS[port.protocol])
    try:
        socket_filter.attach(sock, [socket_filter.DROP])
        sock.setsockopt(*FREEBIND[family], 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port.protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore connections in TIME_WAIT
        sock.bind((port.address, port.port))
        if port.protocol == "tcp":
            sock.listen(0)
    except BaseException:
        sock.close()
        raise
    return sock
