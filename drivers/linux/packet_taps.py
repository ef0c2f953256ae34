"""Packet sockets that see a probe (`drivers.linux.probes`) and its answer at one interface."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import NamedTuple

from drivers.linux import socket_filter
from drivers.linux.probes import PORTS, Tuple
from drivers.linux.socket_filter import DROP, EQUAL, LOAD_BYTE, LOAD_HALF, Instruction
from drivers.model import IPAddress

EVERY = 0x0003  # kernel constant ETH_P_ALL
IPV4, IPV6 = 0x0800, 0x86DD
OUTGOING = 4  # packet type PACKET_OUTGOING
LOAD_PROTOCOL = 0xFFFFF000  # BPF loads the protocol from here: SKF_AD_OFF + SKF_AD_PROTOCOL
LENGTH = 256  # bytes of a packet that are read; the headers are at its start
READS = 500  # maximum packets of one read, because a flood of packets must not block the caller


class Sight(NamedTuple):
    """A packet of a probe or of its answer, with its addresses at one interface.

    ``reply`` is True for the answer. ``reset`` is True for a TCP reset. ``outgoing`` is True if the packet leaves by
    the interface.
    """

    interface: str
    reply: bool
    outgoing: bool
    source: IPAddress
    destination: IPAddress
    source_port: int
    destination_port: int
    reset: bool


class Tap:
    """A packet socket at an interface of the calling thread's network namespace.

    The socket receives only the packets of one probe and of its answer.
    """

    def __init__(self, interface: str, probe: Tuple) -> None:
        self.interface, self._probe = interface, probe
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_PACKET, kind, 0)
        try:
            socket_filter.attach(self._socket, _program(probe))
            self._socket.bind((interface, EVERY))
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when the tap has received a packet."""
        return self._socket.fileno()

    def read(self) -> list[Sight]:
        """Return the packets of the probe and of its answer that the tap received since the last call; never blocks."""
        sights: list[Sight] = []
        for _ in range(READS):
            try:
                data, address = self._socket.recvfrom(LENGTH)
            except OSError:
                break
            start = (data[0] & 15) * 4 if self._probe.version == 4 else 40
            ends = data[12:20] if self._probe.version == 4 else data[8:40]
            half = len(ends) // 2
            transport = data[start : start + 20]
            if len(transport) < 8 or start < 20:
                continue  # a malformed packet
            first, second = PORTS.unpack_from(transport)
            reset = self._probe.protocol == "tcp" and len(transport) > 13 and bool(transport[13] & 4)
            source, destination = ip_address(ends[:half]), ip_address(ends[half:])
            reply, outgoing = self._probe.is_reply(transport), address[2] == OUTGOING
            sights.append(Sight(self.interface, reply, outgoing, source, destination, first, second, reset))
        return sights

    def close(self) -> None:
        """Close the tap; idempotent."""
        self._socket.close()


def _program(probe: Tuple) -> list[Instruction]:
    """Return the classic BPF program that accepts only the packets of a probe and of its answer.

    The program's offsets start at the network header.
    """
    accept: Instruction = (6, 0, 0, LENGTH)
    number = {"tcp": 6, "udp": 17, "icmp": 1 if probe.version == 4 else 58}[probe.protocol]
    offsets = (4,) if probe.protocol == "icmp" else (0, 2)
    tests: list[Instruction] = [(0xB1, 0, 0, 0)] if probe.version == 4 else []  # X = length of the IPv4 header
    for offset in offsets:
        load = (0x48, 0, 0, offset) if probe.version == 4 else (LOAD_HALF, 0, 0, 40 + offset)
        tests += [load, (EQUAL, 1, 0, probe.number)]
    # A match must jump to ``accept``, which follows `DROP` at the end.
    last = len(tests) - 1
    tests = [(c, last - i + 1 if c == EQUAL else t, f, k) for i, (c, t, f, k) in enumerate(tests)]
    head: list[Instruction] = [
        (LOAD_HALF, 0, 0, LOAD_PROTOCOL),
        (EQUAL, 0, len(tests) + 2, IPV4 if probe.version == 4 else IPV6),
        (LOAD_BYTE, 0, 0, 9 if probe.version == 4 else 6),
        (EQUAL, 0, len(tests), number),
    ]
    return [*head, *tests, DROP, accept]
