"""Find signs that a network namespace belongs to a host and is not a container's sandbox.

hawse must not connect a host's own namespace to a network. Otherwise the host would get another interface, and perhaps
another default route. A veth pair whose other end is in another namespace is not a sign: test networks, containers and
pods are connected in this way.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from drivers.linux import link, netns
from drivers.linux.attributes import read
from drivers.linux.listeners import BY_FAMILY, LISTEN, SOCK_DIAG
from drivers.linux.netlink import Session

PROCESSES = Path("/proc")
FIRST_NAMESPACE = 0xEFFFFFF9
"""Inode number of the machine's first network namespace (NET_NS_INIT_INO, Linux 6.18).

In kernels older than 6.18, no namespace has this inode number.
"""
PAIRS = ("veth", "netkit", "vxcan")
REQUEST = struct.Struct("=BxxxIxxxxI8x")  # struct unix_diag_req: family, states, attributes to show
ANSWER = struct.Struct("=16x")  # struct unix_diag_msg
SHOWN = 0x1 | 0x40  # kernel constants UDIAG_SHOW_NAME, UDIAG_SHOW_UID
NAME, OWNER = 0, 7  # attributes UNIX_DIAG_NAME, UNIX_DIAG_UID
ROOT = bytes(4)  # the value of OWNER for a socket of root
NAMES_LIMIT = 3  # maximum number of interfaces that one message names


def of(namespace: int, sockets: Collection[str], processes: Path = PROCESSES) -> list[str]:
    """Return the signs that a namespace is a host's own, as phrases for a message; an empty list for a sandbox.

    ``namespace`` is a file descriptor of the namespace. ``sockets`` are the names of the sockets at which hawse's
    resident processes listen. ``processes`` is the directory /proc. The function changes nothing.
    """
    with netns.enter_netns(namespace):
        inside = [*_of_residents(sockets), *_of_links()]
    return [*_of_identity(namespace, processes), *inside]


def _of_identity(namespace: int, processes: Path) -> Iterator[str]:
    """Yield a sign if the namespace is that of this process or of PID 1, or the first namespace of the machine.

    ``namespace`` is a file descriptor, and ``processes`` is the directory /proc. Namespaces are compared by inode
    number and not by path, because many paths lead to one namespace.
    """
    status = os.fstat(namespace)
    if _is(status, processes / "thread-self/ns/net"):
        yield "the network namespace of hawse itself"
    if _is(status, processes / "1/ns/net"):
        yield "the network namespace of PID 1"
    elif status.st_ino == FIRST_NAMESPACE:
        yield "the machine's first network namespace"


def _is(status: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(status, os.stat(path))
    except OSError:
        return False  # access to ``path`` is denied: treat its namespace as another namespace


def _of_residents(sockets: Collection[str]) -> Iterator[str]:
    """Yield a sign if a resident process of hawse listens on a Unix socket in the calling thread's network namespace.

    ``sockets`` are the file names of such sockets. Their directory is not compared, because the resident process may
    have another directory HAWSE_RUN than this command. Because other users can give a socket any name, only sockets of
    root count. Nothing is yielded on a kernel without sock_diag(7).
    """
    ours = re.compile(rf"/proc/self/fd/\d+/(?:{'|'.join(map(re.escape, sockets))})\0?".encode())

    def is_ours(body: bytes) -> bool:
        attributes = read(body, ANSWER.size)
        return attributes.get(OWNER) == ROOT and ours.fullmatch(attributes.get(NAME, b"")) is not None

    request = REQUEST.pack(socket.AF_UNIX, 1 << LISTEN, SHOWN)
    try:
        with Session(SOCK_DIAG) as opened:
            present = opened.dump(BY_FAMILY, request, is_ours)
    except OSError:
        return
    if present:
        yield "a resident process of hawse"


def _of_links() -> Iterator[str]:
    with Session() as opened:
        links = link.all_links(opened)
    made = [device.name for device in links if _is_of_a_host(device)]
    hardware = [f"{device.name} ({device.device or 'hardware'})" for device in links if _is_hardware(device)]
    split = [device.name for device in links if _is_part_of_another(device)]
    if made:
        yield f"networks of hawse: {_listed(made)}"
    if hardware:
        yield f"the machine's devices: {_listed(hardware)}"
    if split:
        yield f"interfaces whose parent is in another network namespace: {_listed(split)}"


def _is_of_a_host(interface: link.Link) -> bool:
    """Return whether hawse made this link on a host: a bridge, a parent interface, or the host end of a veth pair.

    Only the host end of a veth pair has hawse's mark in its alias; the other end has no mark.
    """
    return bool(interface.network_id or (interface.kind == "veth" and interface.endpoint_id))


def _is_hardware(interface: link.Link) -> bool:
    return bool(interface.device) or not (interface.kind or interface.is_loopback)


def _is_part_of_another(interface: link.Link) -> bool:
    """Return whether the parent of the link is in another namespace, as is possible for macvlan or VLAN links.

    Returns False for links of hawse's endpoints.
    """
    return interface.is_split and interface.kind not in PAIRS and not interface.endpoint_id


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMES_LIMIT]) + (" …" if len(names) > NAMES_LIMIT else "")
