"""Find IPsec policies (ip xfrm) that block a packet or require a tunnel, in the calling thread's network namespace.

In each direction, the first policy that matches the packet decides. The policy with the lowest priority number is
first. Of policies with the same priority, the oldest is first.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from drivers.firewall.packets import Packet
from drivers.firewall.rule_values import NUMBERS, all_of
from drivers.linux.attributes import read
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.model import IPNetwork

NETLINK_XFRM, GET_POLICY, TEMPLATES = 6, 0x15, 5  # kernel constants NETLINK_XFRM, XFRM_MSG_GETPOLICY, XFRMA_TMPL
NARROWING = (21, 31)  # XFRMA_MARK, XFRMA_IF_ID: they limit a policy to packets with one mark, or of one XFRM interface
DIRECTIONS = IN, OUT, FORWARD = 0, 1, 2
"""The directions of policies. The kernel also lists policies of single sockets, which have other directions."""
POLICY = struct.Struct("=16s16sHHHHHBBB3xi4x96xI4xBB6x")
"""Struct xfrm_userpolicy_info: destination, source, four fields for ports, family, two prefix lengths, protocol,
interface, priority, direction, action. The addresses to the interface are the selector.
"""
BLOCK = 1  # XFRM_POLICY_BLOCK


def blocking(packets: Iterable[Packet]) -> str:
    """Return the text of an IPsec policy that certainly blocks one of the packets, or "" if no policy does.

    Policies for all directions (in, out, forward) are examined.
    """
    policies = _policies()
    deciding = (policy for packet in packets for policy in _stopping(policies, packet, DIRECTIONS))
    return next((str(policy) for policy in deciding if policy.blocks), "")


def stopping(packet: Packet, directions: Iterable[int]) -> str:
    """Return the text of an IPsec policy that certainly blocks the packet or requires IPsec, or "" if no policy does.

    Only policies for one of the ``directions`` (`IN`, `OUT`, `FORWARD`) are examined.
    """
    return next(map(str, _stopping(_policies(), packet, directions)), "")


def _stopping(policies: Sequence[_Policy], packet: Packet, directions: Iterable[int]) -> Iterator[_Policy]:
    """Yield the policies that certainly stop the packet (block it, or require IPsec): at most one for each direction.

    ``policies`` are sorted as `_policies` returns them. In each direction, the first policy that matches the packet
    decides. It may be unknown whether a policy matches:

    - If the policy stops packets, the search continues with the next policy.
    - If the policy lets packets pass, the search in this direction ends without a result, because the packet may pass.
    """
    for direction in directions:
        for policy in policies:
            matches = policy.matches(packet) if policy.direction == direction else False
            if matches and not policy.lets_pass:
                yield policy
            if matches or (matches is None and policy.lets_pass):
                break


def _policies() -> list[_Policy]:
    """Return the kernel's IPsec policies in the order in which the kernel compares them with a packet.

    For each direction, the first policy that matches decides. If the kernel has no IPsec, the list is empty.
    """
    with kernel_errors("list", "IPsec policies", ignore=(errno.EPROTONOSUPPORT,)), Session(NETLINK_XFRM) as session:
        oldest_first = [_Policy(body) for body in reversed(session.dump(GET_POLICY, bytes(64)))]
        return sorted(oldest_first, key=lambda policy: policy.priority)
    return []


class _Policy:
    """One policy of the kernel. ``lets_pass`` is True if the policy neither blocks packets nor requires IPsec."""

    def __init__(self, body: bytes) -> None:
        to, by, *ports, family, to_length, by_length, protocol, interface, priority, direction, action = (
            POLICY.unpack_from(body)
        )
        attributes = read(body, POLICY.size)
        self.priority, self.direction, self._protocol = priority, direction, protocol
        self._is_narrow = bool(interface) or any(kind in attributes for kind in NARROWING)
        self._ports = [socket.ntohs(value) for value in ports]
        self._source, self._destination = _network(by, by_length, family), _network(to, to_length, family)
        self.blocks = action == BLOCK
        self.lets_pass = not self.blocks and TEMPLATES not in attributes

    def __str__(self) -> str:
        effect = " action block" if self.blocks else ", which requires IPsec"
        return f"src {self._source} dst {self._destination}{effect}"

    def matches(self, packet: Packet) -> bool | None:
        """Return whether the policy applies to the packet; None if unknown."""
        port, mask, source_port, source_mask = self._ports
        conditions = [
            packet.source in self._source if packet.source is not None else None,
            packet.destination in self._destination,
            self._protocol in (0, NUMBERS.get(packet.l4)),
            _is_port(packet.port, port, mask),
            _is_port(packet.source_port, source_port, source_mask),
            None if self._is_narrow else True,
        ]
        return all_of(conditions)


def _network(address: bytes, length: int, family: int) -> IPNetwork:
    return ip_network((ip_address(address[: 4 if family == socket.AF_INET else 16]), length), strict=False)


def _is_port(port: int, required: int, mask: int) -> bool | None:
    """Return whether ``port`` equals ``required`` in the bits of ``mask``; None if ``port`` is 0 (unknown).

    A mask of 0 accepts any port.
    """
    return True if not mask else (port & mask == required & mask) if port else None
