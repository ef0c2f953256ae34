"""Kernel parameters below /proc/sys/net, of the calling thread's network namespace.

Paths are relative to /proc/sys and use slashes, because interface names may contain dots.
"""

from __future__ import annotations

import errno
from pathlib import Path

from drivers.api import BadOption
from drivers.linux.netlink import refusal

ROOT = Path("/proc/sys")


def conf(family: str, interface: str, key: str) -> str:
    """The path of a per-interface parameter; ``family`` is ipv4 or ipv6."""
    return f"net/{family}/conf/{interface}/{key}"


def read(path: str) -> str | None:
    """A parameter's value; None where this kernel or namespace has no such parameter."""
    try:
        return (ROOT / path).read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal("read sysctl", path, error.errno or errno.EIO) from error


def write(path: str, value: str) -> None:
    """Set a parameter unless it has the value already (it may then be read-only); raises `KernelError`."""
    if read(path) == value:
        return
    try:
        (ROOT / path).write_text(value)
    except OSError as error:
        raise refusal("write sysctl", path, error.errno or errno.EIO) from error


def write_if_present(path: str, value: str) -> None:
    """Set a parameter if this kernel has it (without IPv6 there is no net/ipv6)."""
    if read(path) is not None:
        write(path, value)


def user_path(key: str) -> str:
    """The path of a parameter as people write it, ``net.ipv4.conf.eth0.forwarding`` or with slashes; only below net."""
    first = next((c for c in key if c in "./"), ".")
    path = key if first == "/" else key.translate(str.maketrans("./", "/."))
    parts = path.split("/")
    if parts[0] != "net" or len(parts) < 2 or any(p in ("", ".", "..") for p in parts):
        raise BadOption(f"sysctl '{key}' is not allowed")
    return path
