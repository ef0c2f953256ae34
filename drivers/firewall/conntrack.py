"""Forgets tracked connections, so that no flow goes on to a container that a port no longer leads to.

Speaks ctnetlink itself: lists the flows that match, then deletes each. The kernel's own filter (CTA_FILTER) only
shortens the list. IPv6 addresses are never left to it, because it takes every address but the one asked for.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from drivers.api import IPAddress, PortBinding
from drivers.linux import sysctl
from drivers.linux.netlink import refusal

NETLINK_NETFILTER = 12
GET, DELETE = (1 << 8) | 1, (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_GET and _DELETE
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
DONE, ERROR = 3, 2
NESTED, KIND_MASK = 0x8000, 0x3FFF
TUPLE_ORIG, TUPLE_REPLY, FILTER = 1, 2, 25  # CTA_FILTER_ORIG_FLAGS and _REPLY_FLAGS are 1 and 2, too
TUPLE_IP, TUPLE_PROTO = 1, 2
SOURCE, DESTINATION = (1, 3), (2, 4)  # CTA_IP_V4_SRC, CTA_IP_V6_SRC …
PROTO_NUMBER, PROTO_SOURCE_PORT, PROTO_DESTINATION_PORT = 1, 2, 3
SOURCE_ADDRESS, PROTO_AND_DESTINATION_PORT = 1 << 0, 1 << 3 | 1 << 5
BUFFER = 1 << 16
FEW = 1000  # flows that are sooner read all at once than picked by two walks through the table
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}

Place = tuple[str, int]  # address and port


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked connection: its original direction, and who answers. ``key`` is its original tuple as received."""

    source: bytes
    destination: bytes
    protocol: int
    port: int
    answering: bytes
    key: bytes


def forget_ports(ports: Iterable[PortBinding]) -> None:
    """Forget the connections to published host ports; idempotent."""
    for binding in ports:
        number, host = PROTOCOLS[binding.protocol], binding.host_ip
        wanted = range(binding.host_port, binding.host_port_end + 1)

        def leads_here(
            flow: Flow, number: int = number, host: IPAddress = host, wanted: Sequence[int] = wanted
        ) -> bool:
            same = flow.protocol == number and flow.port in wanted
            return same and (host.is_unspecified or flow.destination == host.packed)

        _forget(host.version, leads_here, _port_filter(number, wanted[0]) if len(wanted) == 1 else b"")


def forget_address(address: IPAddress) -> None:
    """Forget the connections from and to a container; idempotent."""
    narrowings = [b""]
    if address.version == 4 and _tracked() > FEW:
        narrowings = [_source_filter(direction, address) for direction in (TUPLE_ORIG, TUPLE_REPLY)]
    for narrowing in narrowings:
        _forget(address.version, lambda flow: address.packed in (flow.source, flow.answering), narrowing)


def original_destination(protocol: str, client: Place, server: Place) -> tuple[IPv6Address, int] | None:
    """Tell where an IPv6 client wrote to, of the flow that a rule has led to ``server``; None when it is unknown.

    ``client`` and ``server`` are addresses and ports as the server's socket has them.
    """
    addresses = _attribute(SOURCE[1], _packed(server[0])) + _attribute(DESTINATION[1], _packed(client[0]))
    ports = _attribute(PROTO_SOURCE_PORT, struct.pack("!H", server[1]))
    ports += _attribute(PROTO_DESTINATION_PORT, struct.pack("!H", client[1]))
    number = _attribute(PROTO_NUMBER, struct.pack("B", PROTOCOLS[protocol]))
    wanted = _attribute(NESTED | TUPLE_IP, addresses) + _attribute(NESTED | TUPLE_PROTO, number + ports)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as channel:
        channel.bind((0, 0))
        _send(channel, GET, ACK, struct.pack("!BBH", socket.AF_INET6, 0, 0) + _attribute(NESTED | TUPLE_REPLY, wanted))
        flows = [_flow(message) for message in _answers(channel)]
    return next(((IPv6Address(flow.destination), flow.port) for flow in flows), None)


def _packed(address: str) -> bytes:
    return IPv6Address(address).packed


def _forget(version: int, matches: Callable[[Flow], bool], narrowing: bytes = b"") -> None:
    if not _tracked():
        return  # the kernel walks its whole hash table for each list, which takes tens of milliseconds
    header = struct.pack("!BBH", FAMILY[version], 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as channel:
        channel.bind((0, 0))
        _send(channel, GET, DUMP, header + narrowing)
        doomed = [flow for message in _answers(channel) if matches(flow := _flow(message))]
        for flow in doomed:
            _send(channel, DELETE, ACK, header + _attribute(NESTED | TUPLE_ORIG, flow.key))
            for _ in _answers(channel):
                pass


def _tracked() -> int:
    return int(sysctl.read("net/netfilter/nf_conntrack_count") or 1)


def _port_filter(protocol: int, port: int) -> bytes:
    number = _attribute(PROTO_NUMBER, struct.pack("B", protocol))
    proto = number + _attribute(PROTO_DESTINATION_PORT, struct.pack("!H", port))
    return _filter(TUPLE_ORIG, _attribute(NESTED | TUPLE_PROTO, proto), PROTO_AND_DESTINATION_PORT)


def _source_filter(direction: int, address: IPAddress) -> bytes:
    return _filter(direction, _attribute(NESTED | TUPLE_IP, _attribute(SOURCE[0], address.packed)), SOURCE_ADDRESS)


def _filter(direction: int, content: bytes, flags: int) -> bytes:
    """The tuple to compare with, and which of its fields count."""
    counting = _attribute(direction, struct.pack("=I", flags))
    return _attribute(NESTED | direction, content) + _attribute(NESTED | FILTER, counting)


def _send(channel: socket.socket, kind: int, flags: int, body: bytes) -> None:
    channel.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, 1, 0) + body)


def _answers(channel: socket.socket) -> Iterator[bytes]:
    """The payloads of a request's answers, up to the acknowledgement; a flow that ended meanwhile is no error."""
    while True:
        data = channel.recv(BUFFER)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (DONE, ERROR):
                code = -int(struct.unpack_from("=i", data, 16)[0])
                if code not in (0, errno.ENOENT):
                    raise refusal("forget", "tracked connections", code)
                return
            yield data[20:length]  # after nlmsghdr and nfgenmsg
            data = data[(length + 3) & ~3 :]


def _flow(message: bytes) -> Flow:
    attributes = _attributes(message)
    original, reply = _attributes(attributes[TUPLE_ORIG]), _attributes(attributes[TUPLE_REPLY])
    addresses, proto = _attributes(original[TUPLE_IP]), _attributes(original[TUPLE_PROTO])
    return Flow(
        source=_one_of(addresses, SOURCE),
        destination=_one_of(addresses, DESTINATION),
        protocol=proto[PROTO_NUMBER][0],
        port=int.from_bytes(proto.get(PROTO_DESTINATION_PORT, b"")),
        answering=_one_of(_attributes(reply[TUPLE_IP]), SOURCE),
        key=attributes[TUPLE_ORIG],
    )


def _one_of(attributes: dict[int, bytes], kinds: Iterable[int]) -> bytes:
    return next((attributes[k] for k in kinds if k in attributes), b"")


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & KIND_MASK] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(-length % 4)
