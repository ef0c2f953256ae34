"""Change and list the elements of nftables sets, and copy small tables, without libnftables.

Each change is one transaction of netlink messages. A parameter ``table`` is a table's family and name (``inet hawse``).

libnftables takes several times as long. It reads all sets of the table and parses a script. When it closes its socket,
the close blocks until no kernel code can read the removed elements.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from drivers.errors import NoPermission
from drivers.firewall.decoding import unpacked
from drivers.firewall.elements import Element
from drivers.firewall.encoding import Packed, encoded, item, shapes
from drivers.linux.attributes import each, nested, read, text
from drivers.linux.errors import kernel_errors
from drivers.linux.libnftables import Refused
from drivers.linux.netlink import ACK, Message
from drivers.linux.nfnetlink import NFGENMSG, open_session, table_header

BEGIN, END = 0x10, 0x11  # netlink message types (kernel constants NFNL_MSG_BATCH_*)
NFTABLES = 10  # number of the nfnetlink subsystem nftables (kernel constant NFNL_SUBSYS_NFTABLES)
ADD, GET, DESTROY = NFTABLES << 8 | 12, NFTABLES << 8 | 13, NFTABLES << 8 | 30  # message types NFT_MSG_…SETELEM
SET, ELEMENTS = 2, 3  # netlink attribute numbers (kernel constants NFTA_SET_ELEM_LIST_*)
CREATE = 0x400  # message flag (kernel constant NLM_F_CREATE)
CHUNK = 400  # maximum number of elements per message: an attribute's length has only 16 bits
SIGNATURE = 0xE9A377C1
"""The sequence number of all messages that `send` sends.

The kernel repeats this number in its notifications, so the agent recognises the changes that hawse made. nftables'
library uses other numbers: its first number is zero or the present time.
"""

SET_OF = itemgetter(0)


def change(
    table: str, add: Iterable[Element], destroy: Iterable[Element], unwanted: Iterable[tuple[str, Packed]] = ()
) -> None:
    """Remove the elements in ``destroy`` and ``unwanted``, then add those in ``add``, in one transaction.

    Each item of ``unwanted`` is the name of a set and an element in the form that `held` returns. If nftables refuses
    the change, nothing changes, and the function raises `Refused`. Raises `NoPermission` for a process without
    CAP_NET_ADMIN. Runs in the calling thread's network namespace.
    """
    known = shapes(table)
    gone = [(e.set, encoded(e, with_value=False, table=table)) for e in destroy]
    gone += [(set_name, item(packed, with_value=False)) for set_name, packed in unwanted if set_name in known]
    made = [(e.set, encoded(e, with_value=True, table=table)) for e in add]
    send([*_messages(table, DESTROY, gone), *_messages(table, ADD, made)])


def send(messages: list[Message]) -> None:
    """Send messages to nftables as one transaction; on failure nothing changes.

    Raises `Refused`, or `NoPermission` for a process without CAP_NET_ADMIN. Runs in the calling thread's network
    namespace.
    """
    with open_session() as session:
        try:
            session.request_all(_transaction(messages), SIGNATURE)
        except OSError as error:
            raise _refusal(error) from error


def held(table: str, sets: Iterable[str]) -> dict[str, list[Packed]]:
    """Return the elements that the kernel has in each of the table's ``sets``, by the set's name.

    A missing set gives an empty list.
    """
    known, contents = shapes(table), {}
    with open_session() as session:
        for set_name in sets:
            listed: list[bytes] = []
            with kernel_errors("list elements of", f"{table} {set_name}", ignore=(errno.ENOENT,)):
                listed = session.dump(GET, table_header(table) + text(SET, set_name))
            lists = (read(message, NFGENMSG.size).get(ELEMENTS, b"") for message in listed)
            contents[set_name] = [
                unpacked(element, known[set_name]) for listing in lists for _, element in each(listing)
            ]
    return contents


def _transaction(messages: list[Message]) -> list[Message]:
    """Return a netlink batch: a begin message, ``messages``, and an end message.

    The kernel acknowledges only the last of ``messages``.
    """
    mark = NFGENMSG.pack(0, 0, NFTABLES)
    kind, flags, body = messages[-1]
    return [Message(BEGIN, 0, mark), *messages[:-1], Message(kind, flags | ACK, body), Message(END, 0, mark)]


def _messages(table: str, kind: int, items: Iterable[tuple[str, bytes]]) -> Iterator[Message]:
    """Yield the netlink messages that add or remove elements; ``kind`` is `ADD` or `DESTROY`.

    Each item is a set's name and an encoded element (`encoding.item`).
    """
    beginning = table_header(table)
    for set_name, group in groupby(sorted(items, key=SET_OF), key=SET_OF):
        encodings = [encoded_item for _, encoded_item in group]
        for start in range(0, len(encodings), CHUNK):
            body = beginning + text(SET, set_name) + nested(ELEMENTS, *encodings[start : start + CHUNK])
            yield Message(kind, CREATE if kind == ADD else 0, body)


def _refusal(error: OSError) -> Exception:
    """Return the driver error for a kernel error, with the error text that nftables prints."""
    if error.errno == errno.EPERM:
        return NoPermission("nftables: Operation not permitted")
    return Refused(f"nftables: Error: Could not process rule: {os.strerror(error.errno or errno.EIO)}")
