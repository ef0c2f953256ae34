"""Entries of the kernel's neighbour tables and forwarding databases (FDB; rtnetlink(7), linux/neighbour.h).

An overlay network with a thousand peers (endpoints on other hosts) needs several thousand entries. Therefore, entries
are sent in batches, and the kernel acknowledges each batch once. A function with a parameter ``opened`` acts in the
network namespace of that session. The other functions run in the calling thread's network namespace. The parameters
``link``, ``bridge`` and ``port`` are indexes of links.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any, Literal, NamedTuple

from pyroute2.netlink import NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH
from pyroute2.netlink.rtnl.ndmsg import (
    NTF_MASTER,
    NTF_SELF,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    ndmsg,
)

from drivers.linux.errors import kernel_errors, refusal
from drivers.linux.netlink import Message, Session
from drivers.linux.rtnetlink import SANDBOX_LIMIT, decode, dump, encode

BATCH = 256  # maximum number of messages per batch; the socket's buffer can hold an error for each message
NDMSG = struct.Struct("=4xiH")  # struct ndmsg: index of the link, state
UNRESOLVED = NUD_INCOMPLETE | NUD_FAILED | NUD_PROBE
ALL_ZERO = "00:00:00:00:00:00"

Kind = Literal["forward", "flood", "port", "neighbor"]


class Row(NamedTuple):
    """One entry of a forwarding database (FDB) or neighbour table.

    ``link`` is the index of the link that has the entry. A VTEP is another host's address, the destination of VXLAN
    packets. The meaning of ``key`` and ``value`` depends on the kind:

    - ``forward``: a VXLAN device sends frames for a MAC (key) to a VTEP (value).
    - ``flood``: if a frame's MAC has no entry, a VXLAN device sends a copy of the frame to the VTEP (key) of each
      ``flood`` row.
    - ``port``: the bridge always sends frames for a MAC (key) to this port, and never learns another port for that MAC.
    - ``neighbor``: an address (key) is permanently at a MAC (value).
    """

    kind: Kind
    link: int
    key: str
    value: str = ""


def change(add: Iterable[Row] = (), remove: Iterable[Row] = ()) -> None:
    """Add entries to the FDB and neighbour tables, then remove entries; idempotent.

    An existing entry with the same key and another value is replaced. The function continues after an error, and raises
    the first error at the end.
    """
    with Session() as opened:
        failures = _send(opened, [(row, _added(row)) for row in add])
        failures += _send(opened, [(row, _removed(row)) for row in remove], ignore=(errno.ENOENT, errno.ESRCH))
    if failures:
        row, code = failures[0]
        raise refusal("program", f"{row.kind} {row.key} on link {row.link}", code)


def rows(vxlans: Iterable[int]) -> set[Row]:
    """Return all FDB and neighbour entries of these VXLAN devices, and the bridge's FDB entries for these devices.

    ``vxlans`` are the devices' link indexes. Learned entries and the entries of the devices' own MACs are left out.
    """
    chosen, entries = set(vxlans), set[Row]()
    with Session() as opened:
        for family in (socket.AF_BRIDGE, socket.AF_INET, socket.AF_INET6):
            with kernel_errors("list", "neighbours"):
                messages = dump(opened, RTM_GETNEIGH, ndmsg, family=family)
            entries.update(row for m in messages if m["ifindex"] in chosen and (row := _read(m)) is not None)
    return entries


def forget_unresolved(opened: Session, link: int) -> None:
    """Delete a link's unresolved neighbour entries, so that the kernel sends new requests immediately.

    An entry is unresolved if the neighbour has not answered a request.
    """

    def is_unresolved(body: bytes) -> bool:
        index, state = NDMSG.unpack_from(body)
        return index == link and bool(state & UNRESOLVED)

    for family in (socket.AF_INET, socket.AF_INET6):
        with kernel_errors("list", "neighbours"):
            entries = dump(opened, RTM_GETNEIGH, ndmsg, (), is_unresolved, SANDBOX_LIMIT, family=family)
        for entry in entries:
            address = [("NDA_DST", entry.get_attr("NDA_DST"))]
            with kernel_errors("forget neighbour of", f"link {link}", ignore=(errno.ENOENT,)):
                opened.request(RTM_DELNEIGH, encode(ndmsg, address, family=family, ifindex=link))


def is_local(opened: Session, bridge: int, mac: str) -> bool:
    """Return whether a bridge's forwarding database passes frames for the bridge's own MAC to the host."""
    body = encode(ndmsg, [("NDA_LLADDR", mac)], family=socket.AF_BRIDGE, ifindex=bridge, flags=NTF_SELF)
    with kernel_errors("look up", f"{mac} on link {bridge}", ignore=(errno.ENOENT,)):
        return bool(opened.request(RTM_GETNEIGH, body))
    return False


def is_forwarded(opened: Session, port: int, mac: str) -> bool:
    """Return whether the bridge of a port always sends frames for a MAC to this port, because of a static entry.

    A static entry is a `Row` of kind ``port``.
    """
    body = encode(ndmsg, [("NDA_LLADDR", mac)], family=socket.AF_BRIDGE, ifindex=port, flags=NTF_MASTER)
    with kernel_errors("look up", f"{mac} on link {port}", ignore=(errno.ENOENT,)):
        entries = [decode(ndmsg, answer) for answer in opened.request(RTM_GETNEIGH, body)]
        return any(entry["ifindex"] == port and entry["state"] & NUD_NOARP for entry in entries)
    return False


def add_local(opened: Session, bridge: int, mac: str) -> None:
    """Restore the forwarding entry by which a bridge passes frames for its own MAC to the host; idempotent."""
    fields = {"family": socket.AF_BRIDGE, "ifindex": bridge, "state": NUD_PERMANENT, "flags": NTF_SELF}
    with kernel_errors("add", f"{mac} on link {bridge}", ignore=(errno.EEXIST,)):
        opened.request(RTM_NEWNEIGH, encode(ndmsg, [("NDA_LLADDR", mac)], **fields), NLM_F_CREATE)


def _added(row: Row) -> Message:
    flags = NLM_F_APPEND if row.kind == "flood" else NLM_F_REPLACE
    return Message(RTM_NEWNEIGH, NLM_F_CREATE | flags, _body(row))


def _removed(row: Row) -> Message:
    return Message(RTM_DELNEIGH, 0, _body(row))


def _body(row: Row) -> bytes:
    match row.kind:
        case "forward":
            return _encoded(row, row.key, row.value, family=socket.AF_BRIDGE, state=NUD_PERMANENT, flags=NTF_SELF)
        case "flood":
            return _encoded(row, ALL_ZERO, row.key, family=socket.AF_BRIDGE, state=NUD_PERMANENT, flags=NTF_SELF)
        case "port":
            return _encoded(row, row.key, family=socket.AF_BRIDGE, state=NUD_NOARP, flags=NTF_MASTER)
        case "neighbor":
            family = socket.AF_INET if ip_address(row.key).version == 4 else socket.AF_INET6
            return _encoded(row, row.value, row.key, family=family, state=NUD_PERMANENT)


def _encoded(row: Row, mac: str, address: str = "", **fields: int) -> bytes:
    attributes = [("NDA_LLADDR", mac), *([("NDA_DST", address)] if address else [])]
    return encode(ndmsg, attributes, ifindex=row.link, **fields)


def _send(opened: Session, changes: Sequence[tuple[Row, Message]], ignore: Sequence[int] = ()) -> list[tuple[Row, int]]:
    """Send changes to the kernel in batches; return each entry whose change was refused, with the errno.

    A change that is refused with an errno in ``ignore`` is not returned.
    """
    failures = []
    for start in range(0, len(changes), BATCH):
        batch = changes[start : start + BATCH]
        refused = opened.request_each([message for _, message in batch])
        failures += [(batch[number][0], code) for number, code in refused if code not in ignore]
    return failures


def _read(message: Any) -> Row | None:
    link, mac = message["ifindex"], message.get_attr("NDA_LLADDR", "")
    address = message.get_attr("NDA_DST", "")
    if message["family"] != socket.AF_BRIDGE:
        return Row("neighbor", link, address, mac) if message["state"] & NUD_PERMANENT else None
    if message.get_attr("NDA_MASTER") is not None:
        return Row("port", link, mac) if message["state"] & NUD_NOARP else None
    if not message["flags"] & NTF_SELF or not address:
        return None
    return Row("flood", link, address) if mac == ALL_ZERO else Row("forward", link, mac, address)
