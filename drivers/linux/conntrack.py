"""Delete conntrack entries, so that no flow reaches a container after its port was unpublished.

Because no library supports the kernel's filters (CTA_FILTER), the module sends ctnetlink messages itself.

- Since Linux 6.11, one request makes the kernel delete all entries that match a filter, in a fraction of a millisecond.
- On older kernels, or if no filter can select the entries, this module lists all entries. Then it deletes the matching
  entries one by one. To list entries, the kernel walks its whole hash table under the table's locks.
- No filter is used for IPv6 addresses. Because of a kernel bug, such a filter matches every address except the
  requested one.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterable, Sequence, Set
from functools import cache, partial
from ipaddress import IPv6Address, ip_address

from msgspec import Struct

from drivers.errors import KernelError
from drivers.linux import path_lookup, sysctl
from drivers.linux.attributes import attribute, nested, read
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session
from drivers.linux.nfnetlink import NETFILTER, NFGENMSG, open_session
from drivers.model import IPAddress, PortBinding

GET, DELETE = (1 << 8) | 1, (1 << 8) | 2  # message types (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, _DELETE)
GET_STATS, INSERT_FAILED = (1 << 8) | 4, 9  # message type IPCTNL_MSG_CT_GET_STATS_CPU; attribute of one CPU's answer
TUPLE_ORIG, TUPLE_REPLY, FILTER = 1, 2, 25  # attributes CTA_*; 1, 2 are also CTA_FILTER_ORIG_FLAGS, _REPLY_FLAGS
STATUS, STATUS_MASK = 3, 26  # attributes CTA_*; older kernels ignore them in filters
IS_SNAT, IS_DNAT = 1 << 4, 1 << 5  # bits of an entry's status (kernel constants IPS_SRC_NAT, IPS_DST_NAT)
TUPLE_IP, TUPLE_PROTO = 1, 2
SOURCE, DESTINATION = (1, 3), (2, 4)  # attributes CTA_IP_V4_SRC, CTA_IP_V6_SRC; CTA_IP_V4_DST, CTA_IP_V6_DST
PROTO_NUMBER, PROTO_SOURCE_PORT, PROTO_DESTINATION_PORT = 1, 2, 3
SOURCE_ADDRESS, DESTINATION_ADDRESS = 1 << 0, 1 << 1  # flags: the fields that a filter compares
PROTO_AND_SOURCE_PORT, PROTO_AND_DESTINATION_PORT = 1 << 3 | 1 << 4, 1 << 3 | 1 << 5
FEW_FLOWS = 1000  # up to this number of conntrack entries, one full list is faster than several filtered lists
FEW_FILTERS = 16  # up to this number of filters, filtered requests are faster than one full list of entries
UNABLE = (errno.EINVAL, errno.EOPNOTSUPP)  # errors of kernels that cannot delete entries by filter
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}

Address = tuple[str, int]  # IP address and port


class ConntrackFlow(Struct, frozen=True):
    """A conntrack entry; addresses are packed, and ``protocol`` is the number of the IP protocol.

    - ``source``, ``destination``, ``port``: the addresses and the destination port of the original direction
    - ``answering``, ``answering_port``: the source address and the source port of the reply direction
    - ``returning_port``: the destination port of the reply direction (the client's port, or the port that SNAT has set)
    - ``key``: the addresses and ports of the original direction in bytes, as received from the kernel
    """

    source: bytes
    destination: bytes
    protocol: int
    port: int
    answering: bytes
    answering_port: int
    returning_port: int
    key: bytes

    @property
    def is_translated(self) -> bool:
        """Whether the destination is translated (DNAT)."""
        return (self.answering, self.answering_port) != (self.destination, self.port)


def forget_ports(ports: Iterable[PortBinding]) -> None:
    """Delete the conntrack entries of connections to published host ports; idempotent.

    If a port is published on all addresses, DNAT translates every flow to this port. Therefore, untranslated flows with
    the same port number lead to other machines, and are kept.
    """
    _forget_ports(ports, _are_published, b"")


def forget_untranslated(ports: Iterable[PortBinding]) -> None:
    """Delete conntrack entries of flows that reach the host itself at a published port; idempotent.

    The kernel makes such an entry while the port is not published, or while the firewall's rules are missing. The entry
    would deliver all later packets of the flow to the host too. Flows that this host routes to other machines are kept.
    """
    _forget_ports(ports, partial(_reach_host, cache(_is_local)), _status(0, IS_SNAT | IS_DNAT))


def forget_redirected(port: int) -> None:
    """Delete the conntrack entries of the IPv6 UDP flows whose destination port DNAT sets to ``port``; idempotent."""
    number = attribute(PROTO_NUMBER, struct.pack("B", socket.IPPROTO_UDP))
    proto = nested(TUPLE_PROTO, number + attribute(PROTO_SOURCE_PORT, struct.pack("!H", port)))
    led = _filter(TUPLE_REPLY, proto, PROTO_AND_SOURCE_PORT) + _status(IS_DNAT, IS_DNAT)
    _forget(6, partial(_is_redirected, port), [led])


def forget_addresses(addresses: Iterable[IPAddress]) -> None:
    """Delete the conntrack entries of connections from or to these addresses of containers; idempotent."""
    known = list(addresses)
    for version in FAMILY:
        chosen = [address for address in known if address.version == version]
        packed = {address.packed for address in chosen}
        if chosen:
            few = 2 * len(chosen) <= FEW_FILTERS
            filters = (
                [_source_filter(direction, ip) for ip in chosen for direction in (TUPLE_ORIG, TUPLE_REPLY)]
                if few
                else [b""]
            )
            _forget(version, partial(_involves_any, packed), filters)


def original_destination(protocol: str, client: Address, server: Address) -> tuple[IPv6Address, int] | None:
    """Return the destination that an IPv6 flow had before DNAT to ``server``, or None if conntrack has no entry.

    ``protocol`` is tcp, udp or sctp. ``client`` and ``server`` are the two ends of the flow, each an address and a
    port, as the server's socket reports them. The result is an address and a port too.
    """
    addresses = attribute(SOURCE[1], _packed(server[0])) + attribute(DESTINATION[1], _packed(client[0]))
    ports = attribute(PROTO_SOURCE_PORT, struct.pack("!H", server[1]))
    ports += attribute(PROTO_DESTINATION_PORT, struct.pack("!H", client[1]))
    number = attribute(PROTO_NUMBER, struct.pack("B", PROTOCOLS[protocol]))
    reply = nested(TUPLE_IP, addresses) + nested(TUPLE_PROTO, number + ports)
    with Session(NETFILTER) as session:
        flows = _request(session, GET, NFGENMSG.pack(socket.AF_INET6, 0, 0) + nested(TUPLE_REPLY, reply))
    return next(((IPv6Address(flow.destination), flow.port) for flow in flows), None)


def flows_to(protocol: str, address: IPAddress, port: int) -> list[ConntrackFlow]:
    """Return the conntrack entries whose original destination is this address and port; changes nothing.

    ``protocol`` is tcp, udp or sctp. Runs in the calling thread's network namespace.
    """
    with Session(NETFILTER) as session, kernel_errors("list", "tracked connections"):
        listed = session.dump(GET, NFGENMSG.pack(FAMILY[address.version], 0, 0))
    chosen = (address.packed, PROTOCOLS[protocol], port)
    return [flow for flow in map(_flow, listed) if (flow.destination, flow.protocol, flow.port) == chosen]


def reached_limit() -> tuple[int, int] | None:
    """Return (number of entries, limit) if the namespace has reached its limit of conntrack entries, else None.

    Reads the calling thread's network namespace.
    """
    used, most = (int(sysctl.read(f"net/netfilter/nf_conntrack_{key}") or 0) for key in ("count", "max"))
    return (used, most) if 0 < most <= used else None


def failed_insertions() -> int:
    """Return how many packets conntrack has dropped because their flow clashed with another flow.

    Two flows clash if they have the same addresses and ports after address translation. The kernel counts from the
    creation of the network namespace on. The result is 0 if conntrack is not loaded.
    """
    if not sysctl.read("net/netfilter/nf_conntrack_count"):
        return 0  # conntrack is not loaded, and a request would load its kernel module
    with Session(NETFILTER) as session, kernel_errors("read", "counters of connection tracking"):
        listed = session.dump(GET_STATS, NFGENMSG.pack(socket.AF_UNSPEC, 0, 0))
    return sum(int.from_bytes(read(of_cpu, NFGENMSG.size).get(INSERT_FAILED, b"")) for of_cpu in listed)


def _forget_ports(
    ports: Iterable[PortBinding], matches: Callable[[Sequence[PortBinding], ConntrackFlow], bool], status: bytes
) -> None:
    """Delete the conntrack entries of flows to published host ports for which ``matches`` returns True.

    ``matches`` gets the port bindings of one IP version, and an entry. ``status`` holds netlink attributes that select
    entries by their status (`_status`), or is empty.

    - If ``status`` is empty, the kernel selects and deletes the entries by filter, if it can.
    - Otherwise, other flows may have the same status. Therefore each entry is checked with ``matches`` and deleted
      separately.
    """
    bindings = list(ports)
    for version in FAMILY:
        chosen = [binding for binding in bindings if binding.host_ip.version == version]
        if chosen:
            few = sum(map(len, map(_numbers, chosen))) <= FEW_FILTERS
            filters = [_port_filter(b, port, status) for b in chosen for port in _numbers(b)] if few else [status]
            _forget(version, partial(matches, chosen), filters, at_once=not status)


def _packed(address: str) -> bytes:
    return IPv6Address(address).packed


def _forget(
    version: int, matches: Callable[[ConntrackFlow], bool], filters: Sequence[bytes], *, at_once: bool = True
) -> None:
    """Delete the conntrack entries for which ``matches`` returns True.

    ``version`` is the IP version of the entries. ``filters`` are kernel filters that together match these entries. An
    empty filter means that no kernel filter can express the match. If ``at_once`` is False, the filters also match
    other entries, so the kernel must not delete by filter.
    """
    tracked = _tracked()
    if not tracked:
        return
    header, able = NFGENMSG.pack(FAMILY[version], 0, 0), all(filters)
    with open_session() as session:
        if able and at_once and _remove_at_once(session, header, filters):
            return
        narrow = able and (len(filters) == 1 or tracked > FEW_FLOWS)
        for narrowing in filters if narrow else (b"",):
            _remove_one_by_one(session, header, narrowing, matches)


def _remove_at_once(session: Session, header: bytes, filters: Iterable[bytes]) -> bool:
    """Let the kernel delete all conntrack entries that match one of the filters; return False if the kernel cannot.

    ``header`` is the beginning of each request.
    """
    try:
        for each in filters:
            _request(session, DELETE, header + each)
    except KernelError as error:
        if error.errno not in UNABLE:
            raise
        return False
    return True


def _remove_one_by_one(
    session: Session, header: bytes, narrowing: bytes, matches: Callable[[ConntrackFlow], bool]
) -> None:
    with kernel_errors("forget", "tracked connections"):
        listed = session.dump(GET, header + narrowing)
    for flow in filter(matches, map(_flow, listed)):
        _request(session, DELETE, header + nested(TUPLE_ORIG, flow.key))


def _request(session: Session, kind: int, body: bytes) -> list[ConntrackFlow]:
    """Send a conntrack request to the kernel, and return the flows in the kernel's answers.

    ``kind`` is the type of the netlink message, and ``body`` is its content. The error ENOENT gives an empty list,
    because it means that the flow has already ended.
    """
    with kernel_errors("forget", "tracked connections", ignore=(errno.ENOENT,)):
        return [_flow(answer) for answer in session.request(kind, body)]
    return []


def _tracked() -> int:
    return int(sysctl.read("net/netfilter/nf_conntrack_count") or 1)


def _numbers(binding: PortBinding) -> range:
    return range(binding.host_port, binding.host_port_end + 1)


def _involves_any(addresses: Set[bytes], flow: ConntrackFlow) -> bool:
    return flow.source in addresses or flow.answering in addresses


def _are_published(bindings: Iterable[PortBinding], flow: ConntrackFlow) -> bool:
    """Return whether the flow belongs to a published port in ``bindings``.

    A translated flow (DNAT) can belong to every binding. An untranslated flow can only belong to a binding whose
    ``host_ip`` is a single address, because this address may be the endpoint's own.
    """
    return any(
        _leads_to(binding, flow) and (flow.is_translated or not binding.host_ip.is_unspecified) for binding in bindings
    )


def _reach_host(is_local: Callable[[bytes], bool], bindings: Iterable[PortBinding], flow: ConntrackFlow) -> bool:
    """Return whether the flow leads to the host itself at a published port, and its destination is not translated.

    ``bindings`` are the published ports. ``is_local`` returns whether a packed address is an address of the host.
    """
    untranslated = not flow.is_translated and any(_leads_to(binding, flow) for binding in bindings)
    return untranslated and is_local(flow.destination)


def _is_redirected(port: int, flow: ConntrackFlow) -> bool:
    return flow.is_translated and (flow.protocol, flow.answering_port) == (socket.IPPROTO_UDP, port)


def _is_local(address: bytes) -> bool:
    return path_lookup.route(ip_address(address)).kind == "local"


def _leads_to(binding: PortBinding, flow: ConntrackFlow) -> bool:
    same = flow.protocol == PROTOCOLS[binding.protocol] and flow.port in _numbers(binding)
    return same and (binding.host_ip.is_unspecified or flow.destination == binding.host_ip.packed)


def _port_filter(binding: PortBinding, port: int, status: bytes) -> bytes:
    """Return the kernel filter for flows to one port of the binding, or b"" if no filter can express it.

    No filter can express an IPv6 address. ``status`` is the part of the filter that selects flows by status
    (`_status`), or is empty. If it is empty and the port is published on all addresses, the filter selects only flows
    that DNAT has translated.
    """
    host = binding.host_ip
    number = attribute(PROTO_NUMBER, struct.pack("B", PROTOCOLS[binding.protocol]))
    proto = nested(TUPLE_PROTO, number + attribute(PROTO_DESTINATION_PORT, struct.pack("!H", port)))
    if host.is_unspecified:
        return _filter(TUPLE_ORIG, proto, PROTO_AND_DESTINATION_PORT) + (status or _status(IS_DNAT, IS_DNAT))
    if host.version == 6:
        return b""
    address = nested(TUPLE_IP, attribute(DESTINATION[0], host.packed))
    return _filter(TUPLE_ORIG, address + proto, PROTO_AND_DESTINATION_PORT | DESTINATION_ADDRESS) + status


def _status(value: int, mask: int) -> bytes:
    """Return the netlink attributes that select the flows whose status equals ``value`` in the bits of ``mask``."""
    return attribute(STATUS, struct.pack("!I", value)) + attribute(STATUS_MASK, struct.pack("!I", mask))


def _source_filter(direction: int, address: IPAddress) -> bytes:
    if address.version == 6:
        return b""
    return _filter(direction, nested(TUPLE_IP, attribute(SOURCE[0], address.packed)), SOURCE_ADDRESS)


def _filter(direction: int, content: bytes, flags: int) -> bytes:
    """Return the netlink attributes with which the kernel selects flows.

    ``direction`` is the direction of the flow whose addresses and ports are compared, `TUPLE_ORIG` or `TUPLE_REPLY`.
    ``content`` holds the required values, and ``flags`` select the fields to compare.
    """
    counting = attribute(direction, struct.pack("=I", flags))
    return nested(direction, content) + nested(FILTER, counting)


def _flow(message: bytes) -> ConntrackFlow:
    attributes = read(message, NFGENMSG.size)
    original, reply = read(attributes[TUPLE_ORIG]), read(attributes[TUPLE_REPLY])
    addresses, proto = read(original[TUPLE_IP]), read(original[TUPLE_PROTO])
    back = read(reply[TUPLE_PROTO])
    return ConntrackFlow(
        source=_one_of(addresses, SOURCE),
        destination=_one_of(addresses, DESTINATION),
        protocol=proto[PROTO_NUMBER][0],
        port=int.from_bytes(proto.get(PROTO_DESTINATION_PORT, b"")),
        answering=_one_of(read(reply[TUPLE_IP]), SOURCE),
        answering_port=int.from_bytes(back.get(PROTO_SOURCE_PORT, b"")),
        returning_port=int.from_bytes(back.get(PROTO_DESTINATION_PORT, b"")),
        key=attributes[TUPLE_ORIG],
    )


def _one_of(attributes: dict[int, bytes], kinds: Iterable[int]) -> bytes:
    return next((attributes[k] for k in kinds if k in attributes), b"")
