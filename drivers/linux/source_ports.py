"""Count the source ports that sockets use, in the calling thread's network namespace.

If a program chooses no source port, the kernel chooses one from the range net.ipv4.ip_local_port_range. UDP sockets
cannot share a port. TCP connections to different targets can share a port.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from drivers.linux import host, listeners, sysctl
from drivers.model import IPAddress
from drivers.scalars import socket_text

TIME_WAIT = "06"  # socket state in /proc/net/tcp


class Use(NamedTuple):
    """The number of source ports that the kernel may choose, and how many of these ports are in use.

    - ``available``: the number of ports that the kernel may choose
    - ``udp``: the number of these ports that UDP sockets use
    - ``tcp``: the number of these ports that TCP connections to ``target`` use
    - ``target``: address and port as text; "" if the caller gave no target and no TCP connection uses such a port
    """

    available: int
    udp: int
    tcp: int
    target: str

    @property
    def is_exhausted(self) -> bool:
        """Whether no port is left for another UDP socket, or for another TCP connection to ``target``."""
        return max(self.udp, self.tcp) >= self.available


def use(target: tuple[IPAddress, int] | None = None) -> Use:
    """Count the source ports that sockets in the calling thread's network namespace use, and return the counts.

    All UDP sockets count. Of the TCP connections, only those to ``target`` count. ``target`` is an address and a port,
    or None for the target whose connections use the most ports. A TCP connection in state TIME_WAIT counts, unless its
    port is free again (`_is_reusable`).
    """
    first, last = host.ephemeral_ports()
    spans = host.reserved_ports()
    reserved = {port for low, high in spans for port in range(max(low, first), min(high, last) + 1)}
    udp = {sock.port for file in listeners.FILES["udp"] for sock in listeners.sockets(file)}
    udp = {port for port in udp if first <= port <= last} - reserved
    reuse = sysctl.read("net/ipv4/tcp_tw_reuse") or "0"
    held: defaultdict[tuple[IPAddress, int], set[int]] = defaultdict(set)
    for sock in (sock for file in listeners.FILES["tcp"] for sock in listeners.sockets(file)):
        is_free = sock.state == listeners.WAITING["tcp"] or _is_reusable(sock, reuse)
        if not is_free and first <= sock.port <= last and sock.port not in reserved:
            held[sock.remote, sock.remote_port].add(sock.port)
    busiest = target or max(held, key=lambda key: len(held[key]), default=None)
    text = socket_text(*busiest) if busiest is not None else ""
    return Use(last - first + 1 - len(reserved), len(udp), len(held[busiest]) if busiest is not None else 0, text)


def _is_reusable(sock: listeners.Socket, reuse: str) -> bool:
    """Return whether a connection in TIME_WAIT leaves its port to a new connection to the same target.

    ``reuse`` is the value of net.ipv4.tcp_tw_reuse: 1 for all targets, or 2 (the kernel's default) for loopback.
    """
    return sock.state == TIME_WAIT and (reuse == "1" or (reuse == "2" and sock.remote.is_loopback))
