"""UDP from ports of the host to containers: each client has a socket of its own towards its target while it talks.

All ports share one socket, so the kernel's flow tracking is asked where a client wrote to. The answer holds while
the client talks; after a pause the flow may have been forgotten and the client's port be used for another one.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from ipaddress import IPv6Address

from drivers.firewall import conntrack
from engine.agent.forwarding import Origin, Target
from engine.agent.loop import Loop

DATAGRAM = 65535
BATCH = 64
IDLE = 90.0
"""Seconds of silence, in both directions, after which a client is forgotten."""
TRUST = 2.0
"""Seconds of silence after which the kernel is asked again; far less than it keeps a silent flow."""
MAX_CLIENTS = 8192
PACKET_INFO = 20  # struct in6_pktinfo: address and interface index

Key = tuple[object, bytes]
"""A client's address and port, and the host's address that it wrote to."""


class Client:
    """One client of a port."""

    __slots__ = ("last", "origin", "socket", "target")

    def __init__(self, sock: socket.socket, origin: Origin, target: Target) -> None:
        self.socket, self.origin, self.target = sock, origin, target
        self.last = time.monotonic()


class DatagramListener:
    """One socket; ``target_of`` tells where the port that a client wrote to leads."""

    def __init__(self, loop: Loop, target_of: Callable[[Origin], Target | None]) -> None:
        self._loop, self._target_of = loop, target_of
        self._clients: dict[Key, Client] = {}
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._socket.bind(("::", 0))
        self.port: int = self._socket.getsockname()[1]
        loop.watch(self._socket.fileno(), lambda _: self._drain())

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                data, ancillary, _flags, peer = self._socket.recvmsg(DATAGRAM, socket.CMSG_SPACE(PACKET_INFO))
            except OSError:
                return
            try:
                self._client(peer, ancillary[0][2][:16]).send(data)
            except OSError:
                continue  # not a published port; or the target is away or slow: a datagram is lost

    def _client(self, peer: tuple[str, int], local: bytes) -> socket.socket:
        """The socket for a client's datagrams; raises OSError where its port leads nowhere."""
        now, known = time.monotonic(), self._clients.get((peer, local))
        if known is None or known.last < now - TRUST:
            known = self._asked(peer, local, known)
        known.last = now
        return known.socket

    def _asked(self, peer: tuple[str, int], local: bytes, known: Client | None) -> Client:
        server = str(IPv6Address(local)), self.port
        asked = conntrack.original_destination("udp", (peer[0].partition("%")[0], peer[1]), server)
        if asked is None:
            raise ConnectionRefusedError
        origin = Origin("udp", *asked)
        if known is not None and known.origin == origin:
            return known
        if known is not None:
            self._forget((peer, local))
        target = self._target_of(origin)
        if target is None:
            raise ConnectionRefusedError
        return self._admit(peer, local, Client(connected(target), origin, target))

    def _admit(self, peer: tuple[str, int], local: bytes, client: Client) -> Client:
        if not self._clients:
            self._loop.after(IDLE / 2, self._sweep)
        if len(self._clients) >= MAX_CLIENTS:
            self._forget(next(iter(self._clients)))
        self._clients[peer, local] = client
        self._loop.watch(client.socket.fileno(), self._back(client, peer, local))
        return client

    def _back(self, client: Client, peer: tuple[str, int], local: bytes) -> Callable[[int], None]:
        """Answers leave from the address the client wrote to; its tracked flow restores the port."""
        source = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, local + bytes(4))]

        def drain(_events: int) -> None:
            for _ in range(BATCH):
                try:
                    data = client.socket.recv(DATAGRAM)
                    client.last = time.monotonic()
                    self._socket.sendmsg([data], source, 0, peer)
                except OSError:
                    return

        return drain

    def _sweep(self) -> None:
        oldest = time.monotonic() - IDLE
        for key in [key for key, client in self._clients.items() if client.last < oldest]:
            self._forget(key)
        if self._clients:
            self._loop.after(IDLE / 2, self._sweep)

    def _forget(self, key: Key) -> None:
        sock = self._clients.pop(key).socket
        self._loop.forget(sock.fileno())
        sock.close()

    def prune(self) -> None:
        """Forget the clients whose port leads elsewhere or nowhere now."""
        for key in [key for key, client in self._clients.items() if self._target_of(client.origin) != client.target]:
            self._forget(key)

    def close(self) -> None:
        """Close the socket and forget its clients."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        for key in list(self._clients):
            self._forget(key)


def connected(target: Target) -> socket.socket:
    """A datagram socket towards ``target``; raises OSError where there is no way."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    return sock
