"""Host ports: from what an endpoint wants to publish to what it gets.

Knows Docker's order and its texts; the store tells what is taken by other endpoints, a probe tells what other programs
hold. Publishes nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from engine.model import PortRecord, PortSpec

IPAddress = IPv4Address | IPv6Address


class PortConflict(Exception):
    """A port cannot be published; the message is Docker's, below ``driver failed programming external ...``."""


class Probe(Protocol):
    """What the kernel says about host ports, in the network namespace of the calling process."""

    def ephemeral(self) -> Sequence[range]:
        """Ports the kernel may choose from: net.ipv4.ip_local_port_range without ip_local_reserved_ports."""

    def refusal(self, protocol: str, address: IPAddress, port: int) -> str | None:
        """Why another program could not bind this port now (``address already in use``), or None."""


@dataclass(frozen=True, slots=True)
class HostSide:
    """Where ports can be published: the network's default host address, and the families that reach the endpoint.

    ``ipv6`` is whether the host can listen on IPv6 at all: an endpoint without an IPv6 address is reached through its
    IPv4 one, as behind Docker's proxy.
    """

    probe: Probe
    default_ip: str = ""
    ipv4: bool = True
    ipv6: bool = True


def allocate_ports(specs: Iterable[PortSpec], taken: Iterable[PortRecord], host: HostSide) -> list[PortRecord]:
    """Choose host addresses and ports for ``specs``, in Docker's order; ranges that advance together are one record.

    ``taken`` are the records of all other endpoints (`engine.store.api.Reader.ports`). Raises `PortConflict`.
    """
    raise NotImplementedError
