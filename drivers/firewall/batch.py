"""Changes of set elements as messages to the kernel, in one transaction; and what a set holds.

What nftables' library would do for it takes several times as long: it reads the whole table's sets, parses a script,
and then closes its socket, which waits until nobody in the kernel can see any more what was removed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter

from drivers.api import NoPermission
from drivers.firewall.elements import Element
from drivers.firewall.encoding import KEY, VALUE, encoded
from drivers.firewall.nft import Refused
from drivers.firewall.rules import NETFILTER, NFGENMSG, place
from drivers.linux.attributes import each, nested, read, text
from drivers.linux.netlink import ACK, LINGER, Message, Session, aside, doing

BEGIN, END = 0x10, 0x11  # NFNL_MSG_BATCH_*
NFTABLES = 10  # NFNL_SUBSYS_NFTABLES
ADD, GET, DESTROY = NFTABLES << 8 | 12, NFTABLES << 8 | 13, NFTABLES << 8 | 30  # NFT_MSG_{NEW,GET,DESTROY}SETELEM
SET, ELEMENTS = 2, 3  # NFTA_SET_ELEM_LIST_*
CREATE = 0x400  # NLM_F_CREATE
CHUNK = 400  # elements a message, since an attribute's length has 16 bits

SET_OF = attrgetter("set")


def change(table: str, add: Iterable[Element], destroy: Iterable[Element]) -> None:
    """Destroy elements, where they are there, then add some; all of it or nothing, which raises `Refused`.

    ``table`` is as nftables writes it, ``inet hawse``. Acts in the calling thread's network namespace.
    """
    messages = [*_messages(table, DESTROY, destroy), *_messages(table, ADD, add)]
    session = Session(NETFILTER)
    try:
        session.request_all(_transaction(messages))
    except OSError as error:
        raise _refusal(error) from error
    finally:
        aside(session.close, LINGER)


def keys(table: str, set_name: str) -> list[bytes]:
    """The keys of a set's elements, as the kernel has them; none where there is no such set."""
    session, listed = Session(NETFILTER), list[bytes]()
    try:
        with doing("list elements of", f"{table} {set_name}", ignore=(errno.ENOENT,)):
            listed = session.dump(GET, place(table) + text(SET, set_name))
    finally:
        aside(session.close, LINGER)
    items = (read(item) for message in listed for _, item in each(read(message, NFGENMSG.size).get(ELEMENTS, b"")))
    return [read(item[KEY])[VALUE] for item in items]


def _transaction(messages: list[Message]) -> list[Message]:
    """Put messages between a beginning and an end; the last of them is acknowledged, when all is done."""
    mark = NFGENMSG.pack(0, 0, NFTABLES)
    kind, flags, body = messages[-1]
    return [Message(BEGIN, 0, mark), *messages[:-1], Message(kind, flags | ACK, body), Message(END, 0, mark)]


def _messages(table: str, kind: int, items: Iterable[Element]) -> Iterator[Message]:
    beginning, adding = place(table), kind == ADD
    for set_name, group in groupby(sorted(items, key=SET_OF), key=SET_OF):
        packed = [encoded(item, with_value=adding) for item in group]
        for start in range(0, len(packed), CHUNK):
            body = beginning + text(SET, set_name) + nested(ELEMENTS, *packed[start : start + CHUNK])
            yield Message(kind, CREATE if adding else 0, body)


def _refusal(error: OSError) -> Exception:
    """Word the kernel's refusal as nftables does."""
    if error.errno == errno.EPERM:
        return NoPermission("nftables: Operation not permitted")
    return Refused(f"nftables: Error: Could not process rule: {os.strerror(error.errno or errno.EIO)}")
