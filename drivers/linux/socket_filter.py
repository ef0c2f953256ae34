"""Socket filters. A filter is a classic BPF program that decides how many bytes of each packet the socket gets.

Three kinds of sockets have filters: sockets for link notifications, packet sockets that observe a probe
(`drivers.linux.packet_taps`), and sockets that only reserve published ports.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

ATTACH_FILTER = 26  # socket option SO_ATTACH_FILTER
Instruction = tuple[int, int, int, int]
"""The fields of struct sock_filter: code, jt, jf and k."""
LOAD_HALF, LOAD_BYTE, EQUAL, ANY_BIT = 0x28, 0x30, 0x15, 0x45
"""Codes of instructions: load two bytes or one byte, and jump if the value is equal or has one of some bits."""
DROP: Instruction = (0x06, 0, 0, 0)
"""The instruction that ends the program and drops the packet (BPF_RET, 0 bytes)."""
ACCEPT: Instruction = (0x06, 0, 0, 0xFFFF)
"""The instruction that ends the program and accepts the packet's first 65,535 bytes."""


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Let a socket receive only the packets that the BPF filter ``program`` accepts.

    The kernel copies the program.
    """
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(buffer)))
