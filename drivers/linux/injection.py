"""Deliver a frame to an interface as if it had arrived from the wire; changes nothing on the host.

A BPF program of four instructions calls bpf_clone_redirect(BPF_F_INGRESS) for the frame (bpf-helpers(7)).
BPF_PROG_TEST_RUN runs the program once. The kernel removes the program when its file descriptor is closed.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from drivers.errors import Unsupported
from drivers.linux import echo
from drivers.linux.probes import ICMP, NUMBERS, Tuple
from drivers.model import IPAddress

_libc = ctypes.CDLL(None, use_errno=True)
BPF = {"x86_64": 321}.get(os.uname().machine, 280)  # number of bpf(2); 280 in the kernel's generic system call table
LOAD, TEST_RUN, SCHED_CLS, CLONE_REDIRECT, INGRESS = 5, 10, 3, 13, 1
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
SYN, RST = 2, 4


def frame(probe: Tuple, source: IPAddress, target: IPAddress, port: int, flags: int = SYN, sequence: int = 1) -> bytes:
    """Return the IP packet of a probe from ``source`` to ``target``.

    ``probe`` gives the protocol, the IP version, and the source port or ICMP id. ``port`` is the destination port.
    ``flags`` and ``sequence`` are for TCP only.
    """
    if probe.protocol == "tcp":
        body = struct.pack("!HHIIBBHHH", probe.number, port, sequence, 0, 5 << 4, flags, 64240, 0, 0)
        offset, protocol = 16, NUMBERS["tcp"]
    elif probe.protocol == "udp":
        body, offset, protocol = struct.pack("!4H", probe.number, port, 8, 0), 6, NUMBERS["udp"]
    else:
        body, offset = echo.HEADER.pack(echo.KINDS[probe.version][2], 0, 0, probe.number, 1), 2
        protocol = ICMP[probe.version]
    pseudo = source.packed + target.packed + struct.pack("!II", len(body), protocol)
    summed = body if (probe.protocol, probe.version) == ("icmp", 4) else pseudo + body
    body = body[:offset] + struct.pack("!H", echo.checksum(summed) or 0xFFFF) + body[offset + 2 :]
    if probe.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + source.packed + target.packed + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + source.packed + target.packed
    return head[:10] + struct.pack("!H", echo.checksum(head)) + head[12:] + body


def deliver(interface: str, mac: str, sender_mac: str, packet: bytes, version: int) -> None:
    """Deliver an IP packet to an interface, as if it had arrived from the wire.

    The interface is in the calling thread's network namespace. ``mac`` is the destination of the frame, and
    ``sender_mac`` its source. ``version`` is 4 or 6. A small BPF program delivers the frame. Raises `Unsupported` if
    the kernel does not allow this program, and OSError if there is no such interface.
    """
    program = _load(socket.if_nametoindex(interface))
    try:
        data = bytes.fromhex((mac + sender_mac).replace(":", "")) + struct.pack("!H", ETHERTYPE[version]) + packet
        buffer = ctypes.create_string_buffer(data, len(data))
        _bpf(TEST_RUN, struct.pack("<IIIIQQI", program, 0, len(data), 0, ctypes.addressof(buffer), 0, 1) + bytes(44))
    finally:
        os.close(program)


def _load(index: int) -> int:
    """Load the BPF program that redirects a frame to the ingress of a link; return the program's file descriptor.

    ``index`` is the link's index.
    """
    code = b"".join(
        struct.pack("<BBhi", *instruction)
        for instruction in ((0xB7, 2, 0, index), (0xB7, 3, 0, INGRESS), (0x85, 0, 0, CLONE_REDIRECT), (0x95, 0, 0, 0))
    )
    program, license_text = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    pointers = ctypes.addressof(program), ctypes.addressof(license_text)
    return _bpf(LOAD, struct.pack("<IIQQ", SCHED_CLS, len(code) // 8, *pointers) + bytes(104))


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = int(_libc.syscall(BPF, command, buffer, len(attributes)))
    if result < 0:
        raise Unsupported(f"deliver a probe: {os.strerror(ctypes.get_errno()).lower()}")
    return result
