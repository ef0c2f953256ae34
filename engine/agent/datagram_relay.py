"""UDP from a port of the host to an address: each client has a socket of its own towards the target while it talks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from engine.agent.loop import Loop

DATAGRAM = 65535
BATCH = 64
IDLE = 90.0
"""Seconds of silence, in both directions, after which a client is forgotten."""
MAX_CLIENTS = 4096

Ancillary = list[tuple[int, int, bytes]]


class Client:
    """One client of a port: ``local`` carries the address it wrote to, so that replies come from there."""

    __slots__ = ("last", "local", "socket")

    def __init__(self, sock: socket.socket, local: Ancillary) -> None:
        self.socket, self.local = sock, local
        self.last = time.monotonic()


class DatagramListener:
    """Listens on an IPv6 address and relays datagrams to ``target`` (address, port) and back."""

    def __init__(self, loop: Loop, address: str, port: int, target: tuple[str, int]) -> None:
        self._loop, self.target = loop, target
        self._clients: dict[tuple[str, int], Client] = {}
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self._socket.bind((address, port))
        except OSError:
            self._socket.close()
            raise
        loop.watch(self._socket.fileno(), lambda _: self._drain())

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                data, ancillary, _flags, peer = self._socket.recvmsg(DATAGRAM, socket.CMSG_SPACE(20))
            except OSError:
                return
            try:
                client = self._clients.get(peer) or self._admit(peer, ancillary)
                client.last = time.monotonic()
                client.socket.send(data)
            except OSError:
                continue  # the target is away or slow: a datagram is lost

    def _admit(self, peer: tuple[str, int], ancillary: Ancillary) -> Client:
        if not self._clients:
            self._loop.after(IDLE / 2, self._sweep)
        if len(self._clients) >= MAX_CLIENTS:
            self._forget(next(iter(self._clients)))
        sock = self._connect()
        client = self._clients[peer] = Client(sock, ancillary)
        self._loop.watch(sock.fileno(), self._back(client, peer))
        return client

    def _connect(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.target[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self.target)
        except OSError:
            sock.close()
            raise
        return sock

    def _back(self, client: Client, peer: tuple[str, int]) -> Callable[[int], None]:
        def drain(_events: int) -> None:
            for _ in range(BATCH):
                try:
                    data = client.socket.recv(DATAGRAM)
                    client.last = time.monotonic()
                    self._socket.sendmsg([data], client.local, 0, peer)
                except OSError:
                    return

        return drain

    def _sweep(self) -> None:
        oldest = time.monotonic() - IDLE
        for peer in [p for p, c in self._clients.items() if c.last < oldest]:
            self._forget(peer)
        if self._clients:
            self._loop.after(IDLE / 2, self._sweep)

    def _forget(self, peer: tuple[str, int]) -> None:
        sock = self._clients.pop(peer).socket
        self._loop.forget(sock.fileno())
        sock.close()

    def close(self) -> None:
        """Close the port and forget its clients."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        for peer in list(self._clients):
            self._forget(peer)
