"""Find the netfilter hooks that a neighbour search passes: ARP for IPv4, neighbour discovery for IPv6.

A search is part of a path if the searching side has no neighbour entry for the address.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from ipaddress import IPv6Address

from drivers.errors import DriverError
from drivers.firewall.packets import ARP, DISCOVERY, Packet
from drivers.linux import path_lookup
from drivers.model import IPAddress
from engine.diagnosis.trace.packet_path import BRIDGED, LOCAL, REMOTE, PacketPath
from engine.diagnosis.trace.records import HOST, Place, address_of
from engine.diagnosis.trace.state import bridge_of, port_of
from engine.endpoints.sandbox import JoinedEndpoint

SOLICITED = int(IPv6Address("ff02::1:ff00:0"))
"""The multicast prefix of neighbour solicitations; the last three bytes are those of the searched address."""
Step = tuple[Place, str, tuple[str, ...], Packet]
"""A netfilter hook that the packet passes: its namespace, its name, the families of the nftables tables to read, and
the packet with its addresses and interfaces at this hook.
"""


def steps(path: PacketPath) -> Iterator[Step]:
    """Yield the hooks of each neighbour search on a path, in the order in which the packets pass them."""
    near, far, version = path.source_member, path.target_member, path.inner_address.version
    if path.kind in (LOCAL, REMOTE):
        return
    if path.kind == BRIDGED and near is not None and far is not None and path.target is not None:
        source = address_of(near.endpoint, version)
        if source is not None and near.network.driver == "bridge":
            yield from _between(path.source, near, source, path.target, far, path.inner_address)
        return
    for place, member in path.ends:
        address = address_of(member.endpoint, version)
        if place.netns_path and member.network.driver == "bridge" and address is not None:
            yield from _with_host(place, member, address)


def _between(
    place: Place, near: JoinedEndpoint, source: IPAddress, other: Place, far: JoinedEndpoint, target: IPAddress
) -> Iterator[Step]:
    """Yield the hooks of a neighbour search between two containers of one network.

    - The searching container is in ``place``, with the endpoint ``near`` and the address ``source``.
    - The other container is in ``other``, with the endpoint ``far`` and the address ``target``.

    Yields nothing if the searching container has a neighbour entry for ``target``.
    """
    if _has_entry(place, near.endpoint.interface, target):
        return
    question, answer = _exchange(source, target)
    ports = port_of(near), port_of(far)
    families = _families(source)
    yield place, "output", families, question.at("", near.endpoint.interface)
    for hook in ("prerouting", "forward", "postrouting"):
        yield HOST, hook, ("bridge",), question.at(*ports)
    yield other, "input", families, question.at(far.endpoint.interface)
    yield other, "output", families, answer.at("", far.endpoint.interface)
    for hook in ("prerouting", "forward", "postrouting"):
        yield HOST, hook, ("bridge",), answer.at(*reversed(ports))
    yield place, "input", families, answer.at(near.endpoint.interface)


def _with_host(place: Place, member: JoinedEndpoint, address: IPAddress) -> Iterator[Step]:
    """Yield the hooks of a neighbour search from the host for a container's address.

    ``place`` is the container's network namespace, and ``member`` the endpoint with ``address``. Yields nothing if the
    host has a neighbour entry for ``address``.
    """
    bridge, port, families = bridge_of(member.network), port_of(member), _families(address)
    if _has_entry(HOST, bridge, address):
        return
    question, answer = _exchange(None, address)
    yield HOST, "output", families, question.at("", bridge)
    for hook in ("output", "postrouting"):
        yield HOST, hook, ("bridge",), question.at("", port)
    yield place, "input", families, question.at(member.endpoint.interface)
    yield place, "output", families, answer.at("", member.endpoint.interface)
    for hook in ("prerouting", "input"):
        yield HOST, hook, ("bridge",), answer.at(port)
    yield HOST, "input", families, answer.at(bridge)


def is_known(path: PacketPath, member: JoinedEndpoint) -> bool:
    """Return whether the opposite end of a path has a neighbour entry for the address of the endpoint ``member``.

    On a path within one network, the opposite end is the other endpoint. On any other path, it is the host.
    """
    address = address_of(member.endpoint, path.inner_address.version)
    if address is None or member.network.driver != "bridge":
        return False
    if path.kind != BRIDGED:
        return _has_entry(HOST, bridge_of(member.network), address)
    sides = [(place, other) for place, other in path.ends if other.endpoint.id != member.endpoint.id]
    return any(_has_entry(place, other.endpoint.interface, address) for place, other in sides)


def _has_entry(place: Place, interface: str, address: IPAddress) -> bool:
    try:
        return any(entry.address == address for entry in place.inside(partial(path_lookup.neighbours, interface)))
    except (DriverError, OSError):
        return False  # the container has ended


def _families(address: IPAddress) -> tuple[str, ...]:
    return ("arp",) if address.version == 4 else ("inet", "ip6")


def _exchange(source: IPAddress | None, target: IPAddress) -> tuple[Packet, Packet]:
    """Return the question for the MAC of ``target``, and the answer; None as ``source`` means an unknown address."""
    if target.version == 4:
        return Packet(ARP, source, target, 0), Packet(ARP, target, source or target, 0, state="established")
    group = IPv6Address(SOLICITED | int(target) & 0xFFFFFF)
    return Packet(DISCOVERY, source, group, 0), Packet(DISCOVERY, target, source or target, 0, state="established")
