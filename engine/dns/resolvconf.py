"""Reads what a resolv.conf says of upstream servers (man 5 resolv.conf); writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

SYSTEM = Path("/etc/resolv.conf")
STUB = "127.0.0.53"
"""systemd-resolved's listener: it stands for the servers in `BEHIND_STUB`, as in Docker."""
BEHIND_STUB = Path("/run/systemd/resolve/resolv.conf")


class ResolvConf(NamedTuple):
    """Name servers in order, and the options."""

    nameservers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse(text: str) -> ResolvConf:
    """Take a file's text apart; what is no address is left out."""
    servers: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if words[0] == "nameserver" and len(words) > 1 and is_address(words[1]):
            servers.append(words[1])
        elif words[0] == "options":
            options += words[1:]
    return ResolvConf(tuple(servers), tuple(options))


def is_address(text: str) -> bool:
    """Whether this is an IP address (a zone such as %eth0 may follow)."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether an address is a loopback one."""
    return ip_address(address.partition("%")[0]).is_loopback


def read_host(system: Path = SYSTEM, behind_stub: Path = BEHIND_STUB) -> ResolvConf:
    """Read the host's own file, or the one behind systemd-resolved's stub; a missing file is an empty one."""
    found = _read(system)
    if found.nameservers == (STUB,):
        behind = _read(behind_stub)
        if behind.nameservers:
            return behind
    return found


def _read(path: Path) -> ResolvConf:
    try:
        return parse(path.read_text(errors="replace"))
    except OSError:
        return ResolvConf()


def sets_ndots(options: Iterable[str]) -> bool:
    """Whether options carry a valid ``ndots:N``."""
    return any(o.startswith("ndots:") and o[6:].isdigit() for o in options)
