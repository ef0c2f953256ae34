"""Copies UDP datagrams between published ports and containers.

Each active client has a separate socket to the container. All published ports share one listening socket, so the proxy
gets a datagram's original destination from connection tracking. The proxy reuses the destination while datagrams pass
in either direction. After a pause, the proxy asks connection tracking for the destination again, because the client may
now use the same port for another destination.

A parameter ``peer`` is a client's address and port. ``local`` is the host address to which the client sent, as 16
bytes.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from ipaddress import IPv6Address

from drivers.linux import conntrack
from engine.eventloop.loop import Loop
from engine.eventloop.quota import Quota
from engine.portproxy.clients import Flows, ProxyFlow, claims
from engine.ports.proxied import Origin, Target

DATAGRAM = 65535
BATCH = 16
"""Maximum number of datagrams handled per wake-up; after that, other handlers run."""
IDLE_SECONDS = 90.0
"""Seconds after which a flow that had no datagram in either direction is removed."""
TRUST_SECONDS = 2.0
"""Seconds of a client's silence after which the proxy asks connection tracking again for the original destination of
the client's datagrams.

This time is much shorter than the timeout of connection tracking entries.
"""
PACKET_INFO = 20  # size in bytes of struct in6_pktinfo: an address and an interface index


class DatagramListener:
    """The proxy's UDP socket, to which the firewall redirects all proxied UDP ports.

    The function ``target_of`` returns the container address and port for a published port, or None for any other port.
    """

    def __init__(self, loop: Loop, target_of: Callable[[Origin], Target | None], quota: Quota) -> None:
        self._loop, self._target_of = loop, target_of
        self._flows = Flows(quota, lambda flow: loop.forget(flow.socket.fileno()))
        self._sweep_due = False  # whether a timer will call `_sweep`
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._socket.bind(("::", 0))
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        """Pass on datagrams from now on."""
        self._loop.watch(self._socket.fileno(), lambda _: self._drain())

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                data, ancillary, _flags, peer = self._socket.recvmsg(DATAGRAM, socket.CMSG_SPACE(PACKET_INFO))
            except OSError:
                return
            try:
                self._flow(peer, ancillary[0][2][:16]).socket.send(data)
            except OSError:
                continue  # drop the datagram: its port is not published, or the target is down or slow

    def _flow(self, peer: tuple[str, int], local: bytes) -> ProxyFlow:
        """Return the flow of a client; create the flow if it is missing.

        Raises OSError if the port is not published, or if the host has no route to the container.
        """
        now, known = time.monotonic(), self._flows.get((peer, local))
        if known is None or known.last < now - TRUST_SECONDS:
            known = self._asked(peer, local, known)
        known.last = now
        return known

    def _asked(self, peer: tuple[str, int], local: bytes, known: ProxyFlow | None) -> ProxyFlow:
        address, server = peer[0].partition("%")[0], (str(IPv6Address(local)), self.port)
        destination = conntrack.original_destination("udp", (address, peer[1]), server)
        if destination is None:
            raise ConnectionRefusedError
        origin = Origin("udp", *destination)
        if known is not None and known.origin == origin:
            return known
        if known is not None:
            self._flows.remove(known)
        target = self._target_of(origin)
        if target is None:
            raise ConnectionRefusedError
        return self._admit(peer, local, origin, target)

    def _admit(self, peer: tuple[str, int], local: bytes, origin: Origin, target: Target) -> ProxyFlow:
        flow = ProxyFlow((peer, local), origin, target, claims(peer[0], origin, target), connected(target))
        self._flows.add(flow)
        self._sweep_later()
        self._loop.watch(flow.socket.fileno(), self._back(flow, peer, local))
        return flow

    def _back(self, flow: ProxyFlow, peer: tuple[str, int], local: bytes) -> Callable[[int], None]:
        """Return a handler that sends the replies of the flow's target to the client ``peer``.

        The handler is called when the flow's socket has data. The replies leave from the address ``local`` and the port
        of the proxy's socket. Connection tracking replaces this port by the port to which the client sent.
        """
        source = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, local + bytes(4))]

        def drain(_events: int) -> None:
            for _ in range(BATCH):
                try:
                    data = flow.socket.recv(DATAGRAM)
                    flow.last = time.monotonic()
                    self._socket.sendmsg([data], source, 0, peer)
                except OSError:
                    return

        return drain

    def _sweep_later(self) -> None:
        if self._flows and not self._sweep_due:
            self._sweep_due = True
            self._loop.after(IDLE_SECONDS / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweep_due = False
        oldest = time.monotonic() - IDLE_SECONDS
        for flow in self._flows:
            if flow.last < oldest:
                self._flows.remove(flow)
        self._sweep_later()

    def prune(self) -> None:
        """Remove the flows of ports that now have another target or are no longer published."""
        targets = {origin: self._target_of(origin) for origin in {flow.origin for flow in self._flows}}
        for flow in self._flows:
            if targets[flow.origin] != flow.target:
                self._flows.remove(flow)

    def close(self) -> None:
        """Close the socket and remove all flows."""
        self._loop.close_socket(self._socket)
        for flow in self._flows:
            self._flows.remove(flow)


def connected(target: Target) -> socket.socket:
    """Return a UDP socket connected to ``target``; raises OSError if the host has no route to ``target``."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    return sock
