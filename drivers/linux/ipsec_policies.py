"""Find IPsec policies (ip xfrm) that block packets or require a tunnel, in the calling thread's network namespace."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from ipaddress import ip_address, ip_network

from drivers.linux.attributes import read
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.linux.route import VERSIONS
from drivers.model import IPAddress

NETLINK_XFRM, GET_POLICY, TEMPLATES = 6, 0x15, 5  # kernel constants; XFRM_MSG_GETPOLICY, XFRMA_TMPL
BLOCKS = "action block"
SELECTOR = struct.Struct("=16s16s8xHBB8x4x")  # struct xfrm_selector: destination, source, family, prefix lengths
ACTION, POLICY_BYTES, BLOCK = 161, 168, 1  # struct xfrm_userpolicy_info: offset of the action, size; XFRM_POLICY_BLOCK


def blocking(pairs: Iterable[tuple[IPAddress, IPAddress]]) -> str:
    """Return, as text, a policy that blocks packets between the two addresses of a pair; "" if no policy does."""
    directions = (direction for source, target in pairs for direction in ((source, target), (target, source)))
    return next((text for text in _stopping(directions) if text.endswith(BLOCKS)), "")


def stopping(source: IPAddress, destination: IPAddress) -> str:
    """Return, as text, a policy that blocks packets to ``destination`` or requires IPsec; "" if no policy does."""
    return next(_stopping([(source, destination)]), "")


def _stopping(directions: Iterable[tuple[IPAddress, IPAddress]]) -> Iterator[str]:
    """Yield, as text, each policy that blocks packets or requires IPsec for them.

    Each direction is a pair: the source and the destination of the packets. The kernel's list is read only once.
    """
    policies = _policies()
    for source, destination in directions:
        for body in policies:
            yield from _matching(body, source, destination)


def _policies() -> Sequence[bytes]:
    """Return the kernel's list of policies; an empty list from a kernel without IPsec."""
    with (
        kernel_errors("list", "IPsec policies", ignore=(errno.EPROTONOSUPPORT,)),
        closing(Session(NETLINK_XFRM)) as session,
    ):
        return session.dump(GET_POLICY, bytes(64))
    return ()


def _matching(body: bytes, source: IPAddress, destination: IPAddress) -> Iterator[str]:
    to, by, family, to_length, by_length = SELECTOR.unpack_from(body)
    version = VERSIONS.get(family)
    if version != destination.version or version != source.version:
        return
    size = 4 if family == socket.AF_INET else 16
    ends = [ip_network((ip_address(data[:size]), n), strict=False) for data, n in ((by, by_length), (to, to_length))]
    if not (source in ends[0] and destination in ends[1]):
        return
    if body[ACTION] == BLOCK:
        yield f"src {ends[0]} dst {ends[1]} {BLOCKS}"
    elif TEMPLATES in read(body, POLICY_BYTES):
        yield f"src {ends[0]} dst {ends[1]}, which requires IPsec"
