"""Attach an XDP program that drops every packet to an interface of the calling thread's network namespace."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

BPF, PROGRAM_LOAD, XDP_TYPE = 321, 5, 6  # numbers of bpf(2) on x86-64, BPF_PROG_LOAD, BPF_PROG_TYPE_XDP
RETURN_DROP = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)  # r0 = XDP_DROP; exit
SET_LINK, REQUEST_AND_ACK, XDP, FD, FLAGS, GENERIC = 19, 5, 43 | 0x8000, 1, 3, 2


def attach(interface: str, *, on: bool) -> None:
    """Attach the program to an interface if ``on``, else remove the interface's XDP program; raises OSError."""
    program = _load() if on else -1
    values = _attribute(FD, struct.pack("i", program)) + _attribute(FLAGS, struct.pack("I", GENERIC))
    body = struct.pack("BxHiII", 0, 0, socket.if_nametoindex(interface), 0, 0) + _attribute(XDP, values)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.send(struct.pack("IHHII", 16 + len(body), SET_LINK, REQUEST_AND_ACK, 1, 0) + body)
        error = struct.unpack_from("i", sock.recv(4096), 16)[0]
    if error:
        raise OSError(-error, os.strerror(-error), interface)


def _load() -> int:
    """Load the program and return its descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    code, licence = ctypes.create_string_buffer(RETURN_DROP), ctypes.create_string_buffer(b"GPL")
    addresses = struct.pack("QQ", ctypes.addressof(code), ctypes.addressof(licence))
    attributes = (struct.pack("II", XDP_TYPE, 2) + addresses).ljust(120, b"\0")
    program: int = libc.syscall(BPF, PROGRAM_LOAD, attributes, len(attributes))
    if program < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return program


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


if __name__ == "__main__":
    attach(sys.argv[1], on=sys.argv[2] == "on")
