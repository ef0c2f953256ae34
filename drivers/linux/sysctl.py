"""Kernel parameters (sysctls) below /proc/sys/net, in the calling thread's network namespace.

Paths are relative to /proc/sys. Paths use slashes and not dots, because interface names may contain dots.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from drivers.errors import BadOption, KernelError
from drivers.linux import recording
from drivers.linux.errors import refusal

ROOT = Path("/proc/sys")
LONGEST = 1 << 16  # maximum length of a sysctl's value in bytes


def conf(family: str, interface: str, key: str) -> str:
    """Return the path of a sysctl that each interface has; ``family`` is ipv4 or ipv6."""
    return f"net/{family}/conf/{interface}/{key}"


def read(path: str) -> str | None:
    """Return a sysctl's value, or None if this kernel or network namespace does not have the sysctl."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal("read sysctl", path, error.errno or errno.EIO) from error


def write(path: str, value: str) -> None:
    """Set a sysctl; raises `KernelError`.

    If the sysctl already has the value, nothing is written, because the sysctl may be read-only.
    """
    try:
        if _read(path) == value:
            return
        if recording.recorder is None:
            _write(path, value)
        else:
            recording.recorder.sysctl(path, value, lambda: _write(path, value))
    except OSError as error:
        raise refusal("write sysctl", path, error.errno or errno.EIO) from error


def write_if_present(path: str, value: str) -> None:
    """Set a sysctl; do nothing if it does not exist, as in a kernel without IPv6 or for a missing interface."""
    try:
        write(path, value)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise


def _read(path: str) -> str:
    """Return a sysctl's value, with one read call, because commands read dozens of sysctls."""
    if recording.recorder is not None:
        known = recording.recorder.sysctl_value(path)
        if known is not None:
            return known
    file = os.open(f"{ROOT}/{path}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, LONGEST).decode().strip()
    finally:
        os.close(file)


def _write(path: str, value: str) -> None:
    file = os.open(f"{ROOT}/{path}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, value.encode())
    finally:
        os.close(file)


def user_path(key: str) -> str:
    """Return the path of a sysctl whose name the user wrote with dots or slashes.

    An example of a name is ``net.ipv4.conf.eth0.forwarding``. Raises `BadOption` for sysctls outside net.
    """
    first = next((c for c in key if c in "./"), ".")
    path = key if first == "/" else key.translate(str.maketrans("./", "/."))
    parts = path.split("/")
    if parts[0] != "net" or len(parts) < 2 or any(p in ("", ".", "..") for p in parts):
        raise BadOption(f"sysctl '{key}' is not allowed")
    return path
