"""Follow one probe through the firewall of a network namespace with nftables' trace events.

A probe is a small packet that tests a path (`drivers.linux.probes`). The trace adds temporary tables, named
``hawse_trace_PID``. Their rules match only the probe, and neither accept nor drop it. The tables belong to a netlink
socket (flag ``owner``, Linux 5.12), so other programs cannot change them. The kernel removes the tables when the socket
is closed, even by a SIGKILL.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, suppress
from ipaddress import ip_address
from typing import NamedTuple

from drivers.errors import DriverError
from drivers.linux import libnftables
from drivers.linux.attributes import read, read_text
from drivers.linux.libnftables import Context
from drivers.linux.netlink import follow, messages, pending
from drivers.linux.nfnetlink import FAMILY_NAMES, NETFILTER, NFGENMSG
from drivers.linux.probes import TunnelFlow, Tuple
from drivers.model import IPAddress

TRACE_GROUP = 9  # kernel constant NFNLGRP_NFTRACE
TRACE = 10 << 8 | 17  # netlink message type: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE
TABLE, CHAIN, HANDLE, KIND, VERDICT, ID, NETWORK, TRANSPORT = 1, 2, 3, 4, 5, 6, 8, 9  # attributes NFTA_TRACE_*
POLICY, CODE = 16, 1  # attributes NFTA_TRACE_*, NFTA_VERDICT_CODE
READS = 200  # maximum messages of one read, because a flood of packets must not block the caller
BY_POLICY, BY_RULE, DROP = 1, 3, 0  # kernel constants NFT_TRACETYPE_POLICY, NFT_TRACETYPE_RULE, NF_DROP
FIRST = -450  # a priority before all usual chains (kernel constant NF_IP_PRI_RAW_BEFORE_DEFRAG)
LEAVING, LAST = "postrouting", 1000  # the last hook, and a priority after all usual chains
CHAINS = {
    "inet": ("prerouting", "output", LEAVING),
    "bridge": ("prerouting", "output"),
    "arp": ("input", "output"),
    "netdev": ("ingress", "egress"),
}
"""The hooks at which the trace of a packet begins, by family.

The chain at the hook `LEAVING` runs after all other chains. It sees only packets that leave the namespace.
"""
SOLICITING = (b"\x87", b"\x88")  # ICMPv6 types of neighbour solicitations and advertisements
DISCOVERY = {
    4: ("arp saddr ip {0}", "arp daddr ip {0}"),
    6: ("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } icmpv6 taddr {0}",),
}
"""The match expressions for the packets that resolve an address to a MAC, by IP version."""


class Event(NamedTuple):
    """One trace event: a packet met a rule, or a policy, of a chain.

    - ``table``: family and name
    - ``handle``: the rule's number, or 0 for a policy
    - ``dropped``: whether this rule or policy dropped the packet
    - ``reply``: whether the packet belongs to the answer to the probe
    - ``searches``: whether the packet searches a neighbour's MAC (ARP, neighbour discovery)
    """

    table: str
    chain: str
    handle: int
    dropped: bool
    reply: bool
    searches: bool = False


class Answer(NamedTuple):
    """An answer that leaves the namespace: its source address and port, and whether it is a TCP reset."""

    source: IPAddress
    port: int
    reset: bool


class PacketTrace:
    """The trace of one probe in the network namespace of the calling thread, until `close`.

    ``devices`` are interfaces whose ingress and egress chains are traced too. ``neighbours`` are addresses whose
    discovery (ARP, neighbour solicitations) is traced too.
    """

    def __init__(
        self,
        probe: Tuple | TunnelFlow,
        devices: Collection[str] = (),
        neighbours: Collection[IPAddress] = (),
    ) -> None:
        self._probe, self._replies, self._searches = probe, dict[bytes, bool](), set[bytes]()
        self.answers: list[Answer] = []  # answers that are routed and leave the namespace
        with ExitStack() as opened:
            self._context = opened.enter_context(closing(Context()))
            self._socket = opened.enter_context(follow("trace events", (TRACE_GROUP,), NETFILTER))
            self._add("inet", (), neighbours)
            for family in ("bridge", "arp", "netdev"):
                with suppress(DriverError):  # ignore a family that this kernel does not support
                    self._add(family, devices, neighbours)
            self._opened = opened.pop_all()

    def _add(self, family: str, devices: Collection[str], neighbours: Collection[IPAddress]) -> None:
        rules = "; ".join(f"{match} meta nftrace set 1" for match in self._matches(family, neighbours))
        selectors = [f'device "{device}" ' for device in devices] if family == "netdev" else [""]
        chains = [
            f"chain {hook}{number} {{ type filter hook {hook} {selector}priority {LAST if hook == LEAVING else FIRST}; "
            f"{rules}; }}\n"
            for hook in CHAINS[family]
            for number, selector in enumerate(selectors)
        ]
        if chains and rules:
            self._context.run(f"table {family} hawse_trace_{os.getpid()} {{ flags owner;\n{''.join(chains)}}}\n")

    def _matches(self, family: str, neighbours: Collection[IPAddress]) -> Iterator[str]:
        """Yield nftables expressions that match the probe, and the ARP or NDP packets about ``neighbours``.

        These ARP and NDP packets resolve an address of ``neighbours`` to a MAC. ``family`` is the table's family, such
        as "inet".
        """
        if family != "arp":
            for match in self._probe.nft_matches():
                yield f"meta l4proto {self._probe.protocol_name} {match}"
        for address in neighbours:
            if (address.version, family) not in ((4, "inet"), (6, "arp")):
                yield from (match.replace("{0}", str(address)) for match in DISCOVERY[address.version])

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when trace events can be read."""
        return self._socket.fileno()

    def read(self) -> list[Event]:
        """Return the events since the last call; never blocks. Events of the trace's own tables are omitted."""
        return [event for data in pending(self._socket, READS) if data for event in self._decoded(data)]

    def _decoded(self, data: bytes) -> Iterator[Event]:
        for kind, *_, body in messages(data):
            if kind != TRACE:
                continue
            values = read(body, NFGENMSG.size)
            self._remember_direction(values)
            family = FAMILY_NAMES.get(body[0], "?")
            table = f"{family} {read_text(values.get(TABLE, b''))}"
            if table.partition(" ")[2] == f"hawse_trace_{os.getpid()}":
                leaves = read_text(values.get(CHAIN, b"")).startswith(LEAVING)
                if leaves and self._replies.get(values.get(ID, b"")):
                    self.answers += _answers(values.get(NETWORK, b""), values.get(TRANSPORT, b""))
                continue
            kind_of = _number(values, KIND)
            verdict = read(values.get(VERDICT, b"")).get(CODE, b"")
            code = _number(values, POLICY, 1) if kind_of == BY_POLICY else int.from_bytes(verdict or b"\1")
            yield Event(
                table,
                read_text(values.get(CHAIN, b"")),
                _number(values, HANDLE) if kind_of == BY_RULE else 0,
                kind_of in (BY_POLICY, BY_RULE) and code == DROP,
                self._replies.get(values.get(ID, b""), False),
                values.get(ID, b"") in self._searches,
            )

    def _remember_direction(self, values: dict[int, bytes]) -> None:
        header, network = values.get(TRANSPORT, b""), values.get(NETWORK, b"")
        if network and _is_search(network, header):
            self._searches.add(values.get(ID, b""))
        if len(header) >= 8:
            self._replies[values.get(ID, b"")] = self._probe.is_reply(header)

    def close(self) -> None:
        """Remove the trace's tables; idempotent."""
        self._opened.close()


def rule_text(table: str, chain: str, handle: int) -> str:
    """Return the rule with this handle as nft prints it, or "" if the rule no longer exists.

    ``table`` is family and name. Also returns "" if the table's or chain's name has special characters
    (`libnftables.is_plain`).
    """
    if not all(libnftables.is_plain(name) for name in (*table.split(" ", 1), chain)):
        return ""
    with suppress(DriverError):
        for line in libnftables.numbered(f"chain {table} {chain}").splitlines():
            text, _, number = line.rpartition(" # handle ")
            if number.strip() == str(handle):
                return text.strip()
    return ""


def _is_search(network: bytes, transport: bytes) -> bool:
    """Return whether the headers are those of an ARP packet, or of a neighbour solicitation or advertisement.

    ``network`` is the packet's network header, and ``transport`` its transport header.
    """
    version = network[0] >> 4
    if version != 6:
        return version != 4
    return len(network) > 6 and network[6] == socket.IPPROTO_ICMPV6 and transport[:1] in SOLICITING


def _answers(network: bytes, transport: bytes) -> Iterator[Answer]:
    """Yield the packet's source address, source port and TCP reset flag; nothing if a header is missing.

    ``network`` is the packet's network header, and ``transport`` its transport header.
    """
    if len(network) >= 20 and len(transport) >= 8:
        source = network[12:16] if network[0] >> 4 == 4 else network[8:24]
        reset = len(transport) > 13 and bool(transport[13] & 4)
        yield Answer(ip_address(source), int.from_bytes(transport[:2]), reset)


def _number(values: dict[int, bytes], key: int, default: int = 0) -> int:
    return int.from_bytes(values[key]) if key in values else default
