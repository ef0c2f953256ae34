"""Whether a launcher is one whose commands may run here: with our rights, in the namespaces that a fork keeps.

A child could give up rights but not all of them, and never gain any, so it must have what the launcher has, exactly.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

SAME = ("Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters")
NAMESPACES = ("user", "pid", "uts", "ipc", "cgroup", "time")

Rights = tuple[object, ...]


def peer(connection: socket.socket) -> tuple[int, int]:
    """The launcher's process id, 0 where it is not in our pid namespace, and its group."""
    pid, _, group = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, group


def rights(pid: int) -> Rights:
    """What must be the same in two processes for one to act for the other; raises OSError."""
    process = f"/proc/{pid}"
    lines = (line.split(":", 1) for line in Path(process, "status").read_text().splitlines())
    status = tuple(value for name, value in lines if name in SAME)
    spaces = tuple(os.stat(f"{process}/ns/{kind}").st_ino for kind in NAMESPACES)
    return (*status, *spaces, _label(process))


def _label(process: str) -> bytes:
    try:
        return Path(process, "attr/current").read_bytes()
    except OSError:
        return b""  # no security module
