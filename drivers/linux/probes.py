"""Probes: small packets to an address, sent from a network namespace, and their answers.

A probe is a TCP connection that is closed at once, an empty UDP datagram, or an ICMP echo request. No other socket in
the namespace has the probe's source port. An ICMP id is random. Therefore the probe and its answer are recognised
everywhere on the path.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import struct
import time
from contextlib import suppress

from msgspec import Struct

from drivers.linux import echo
from drivers.model import IPAddress
from drivers.scalars import socket_text

NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
SOL_RAW, CHECKSUM_OFFSET = 255, 7  # level and number of IPV6_CHECKSUM, a socket option of raw sockets
PORTS = struct.Struct("!HH")
END_SECONDS = 0.2
"""Maximum number of seconds that `Probe.close` waits for the service to close its side of a TCP connection."""
ABORT = struct.pack("ii", 1, 0)  # struct linger, the value of SO_LINGER with which close() resets a TCP connection
BIND_ATTEMPTS = 50  # number of random ports that a probe tries if the range of source ports has no unused port


class PortsExhausted(OSError):
    """The namespace has no free source port for packets to ``target`` (net.ipv4.ip_local_port_range)."""

    def __init__(self, protocol: str, target: str) -> None:
        super().__init__(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        self.protocol, self.target = protocol, target


class Tuple(Struct, frozen=True):
    """What identifies the packets of a probe: protocol (``tcp``, ``udp``, ``icmp``), IP version and number.

    ``number`` is the source port of TCP and UDP, or the id of an ICMP echo request.
    """

    protocol: str
    version: int
    number: int

    @property
    def protocol_name(self) -> str:
        """The protocol's name in nftables."""
        return "ipv6-icmp" if (self.protocol, self.version) == ("icmp", 6) else self.protocol

    def nft_matches(self) -> list[str]:
        """Return nftables matches for the probe and its answer.

        The probe fulfils one of the matches, and so does the answer. For ICMP, both fulfil the same match.
        """
        if self.protocol == "icmp":
            return [f"icmp id {self.number}" if self.version == 4 else f"icmpv6 id {self.number}"]
        return [f"th sport {self.number}", f"th dport {self.number}"]

    def is_reply(self, transport: bytes) -> bool:
        """Return whether a packet is the answer to the probe, not the probe itself.

        ``transport`` is the packet's transport header. The caller knows already that the packet is one of the two. For
        TCP and UDP, the answer's destination port is the probe's source port (``number``). For ICMP, the answer has the
        type echo reply.
        """
        if self.protocol == "icmp":
            return transport[0] == echo.KINDS[self.version][3]
        return bool(PORTS.unpack_from(transport)[1] == self.number)


class TunnelFlow(Struct, frozen=True):
    """The packets of a tunnel between this host and the host ``other``.

    These packets can be traced in the same way as a probe (`Tuple`). In both directions, the packets are UDP datagrams
    with the destination port ``port``.
    """

    other: IPAddress
    port: int
    protocol_name: str = "udp"

    def nft_matches(self) -> list[str]:
        """Return the nftables matches for the tunnel's packets to the host and from the host, in this order."""
        family = "ip" if self.other.version == 4 else "ip6"
        return [f"udp dport {self.port} {family} {end} {self.other}" for end in ("daddr", "saddr")]

    def is_reply(self, transport: bytes) -> bool:
        """Return False, because the transport header does not show the direction."""
        del transport
        return False


class Probe:
    """One probe from the network namespace of the calling thread.

    The probe goes to ``address`` and ``port``. ``protocol`` is ``tcp``, ``udp`` or ``icmp``; icmp does not use a port.
    The constructor raises PortsExhausted if a program in the namespace would get no source port for this target.
    """

    def __init__(self, protocol: str, address: IPAddress, port: int) -> None:
        self.address, self.port = address, port
        self.socket = self._opened(protocol)
        self.socket.setblocking(False)
        number = secrets.randbelow(1 << 16) if protocol == "icmp" else self.socket.getsockname()[1]
        self.tuple = Tuple(protocol, address.version, number)
        self.result = ""

    def _opened(self, protocol: str) -> socket.socket:
        family = FAMILIES[self.address.version]
        if protocol == "icmp":
            return socket.socket(family, socket.SOCK_RAW, ICMP[self.address.version])
        made = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        if protocol == "udp":
            made.setsockopt(*((socket.IPPROTO_IP, 11) if family == socket.AF_INET else (socket.IPPROTO_IPV6, 25)), 1)
        try:
            made.bind(("", 0))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self._bind_elsewhere(made)
        return made

    def _bind_elsewhere(self, made: socket.socket) -> None:
        """Bind the socket ``made`` to a random port, which may be outside the namespace's range of source ports.

        The caller has found no unused port in the range. Raises `PortsExhausted` if other programs in the namespace
        therefore get no source port for this target:

        - UDP sockets cannot share a port, so UDP always raises the error.
        - TCP connections to different targets can share a port. Therefore, this method tries to connect, to find out
          whether a program gets a port.
        """
        protocol = "tcp" if made.type == socket.SOCK_STREAM else "udp"
        if protocol == "udp" or self._has_no_port(made.family):
            raise PortsExhausted(protocol, socket_text(self.address, self.port))
        for _ in range(BIND_ATTEMPTS - 1):
            with suppress(OSError):
                return made.bind(("", 1024 + secrets.randbelow((1 << 16) - 1024)))
        return made.bind(("", 1024 + secrets.randbelow((1 << 16) - 1024)))

    def _has_no_port(self, family: int) -> bool:
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.setblocking(False)
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            return attempt.connect_ex((str(self.address), self.port)) == errno.EADDRNOTAVAIL

    def fileno(self) -> int:
        """Return the file descriptor that becomes ready when the probe has a result."""
        return self.socket.fileno()

    def send(self) -> None:
        """Send the probe; a second call sends a UDP or ICMP probe again.

        A second call does not send a TCP probe again, because the kernel itself retransmits TCP packets.
        """
        try:
            if self.tuple.protocol == "tcp":
                code = self.socket.connect_ex((str(self.address), self.port))
                if code not in (0, errno.EINPROGRESS, errno.EALREADY, errno.EISCONN):
                    self._fail(code)
            elif self.tuple.protocol == "udp":
                self.socket.connect((str(self.address), self.port))
                self.socket.send(b"")
            else:
                request = echo.request(self.address.version, self.tuple.number, 1)
                self.socket.sendto(request, (str(self.address), 0))
        except OSError as error:
            self._fail(error.errno or errno.EIO)

    def poll(self) -> str:
        """Return the probe's result, or "" before the probe has a result.

        A result is ``open`` (connected or answered), ``refused``, or the name of an errno, such as ``EHOSTUNREACH``.
        """
        if self.result or self.tuple.protocol == "tcp":
            return self.result or self._poll_tcp()
        with suppress(BlockingIOError):
            try:
                while not self.result:
                    data = self.socket.recv(2048)
                    if self.tuple.protocol == "udp" or self._is_answer(data):
                        self.result = "open"
            except OSError as error:
                if not isinstance(error, BlockingIOError):
                    self._fail(error.errno or errno.EIO)
        return self.result

    def _poll_tcp(self) -> str:
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(code)
        else:
            with suppress(OSError):
                self.socket.getpeername()
                self.result = "open"
        return self.result

    def _is_answer(self, data: bytes) -> bool:
        return echo.number_of_reply(data, self.address.version, self.tuple.number) is not None

    def _fail(self, code: int) -> None:
        self.result = "refused" if code == errno.ECONNREFUSED else errno.errorcode.get(code, str(code))

    def close(self) -> None:
        """Close the probe's socket.

        An open TCP connection is first shut down, so that the service sees a normal end of the connection. The call
        then blocks up to `END_SECONDS` until the service closes its side. If the service does not close its side, the
        connection is reset.
        """
        if self.tuple.protocol == "tcp" and self.result == "open":
            with suppress(OSError):
                self._end()
        self.socket.close()

    def _end(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + END_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            if not self.socket.recv(65536):
                return


def answer(probe: Tuple, local: IPAddress, port: int, client: IPAddress, client_port: int) -> None:
    """Send a UDP answer from ``local`` and ``port`` to ``client`` and ``client_port``, as if the service had answered.

    The answer tests the path back, because the service itself may send no answer. ``client`` is the sender of
    ``probe``. Runs in the network namespace of the service. If the kernel refuses the packet, nothing is sent.
    """
    with socket.socket(FAMILIES[probe.version], socket.SOCK_RAW, socket.IPPROTO_UDP) as raw, suppress(OSError):
        raw.bind((str(local), 0))
        if probe.version == 6:
            raw.setsockopt(SOL_RAW, CHECKSUM_OFFSET, 6)
        raw.sendto(struct.pack("!4H", port, client_port, 8, 0), (str(client), 0))
