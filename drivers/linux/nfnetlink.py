"""Open netfilter sessions, and read the comments of a chain's rules without libnftables.

hawse records settings in rule comments, and every command that changes the firewall reads these comments. libnftables
would take a hundred times as long, because it first reads the table and all sets of the table.
"""

from __future__ import annotations

import _thread
import errno
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from drivers.linux import recording
from drivers.linux.attributes import attribute, each, read, read_text, text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session, in_background

NETFILTER = 12  # netlink family (kernel constant NETLINK_NETFILTER)
GET_CHAIN, GET_RULE = 10 << 8 | 4, 10 << 8 | 7  # message types NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, _GETRULE
FAMILIES = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
"""Numbers of the families of tables (kernel constants NFPROTO_*)."""
FAMILY_NAMES = {number: family for family, number in FAMILIES.items()}
TABLE, RULE_CHAIN, EXPRESSIONS, USER_DATA = 1, 2, 4, 7  # NFTA_RULE_*; TABLE is also NFTA_SET_ELEM_LIST_TABLE
EXPRESSION_NAME, EXPRESSION_DATA = 1, 2  # attributes NFTA_EXPR_*
COMMENT = 0  # type number of a comment (libnftnl constant NFTNL_UDATA_RULE_COMMENT)
NFGENMSG = struct.Struct("!BBH")  # struct nfgenmsg: family, version, resource
CLOSE_DELAY_SECONDS = 0.05
"""Seconds to wait before a netfilter socket is closed.

If set elements were removed shortly before, closing the socket waits for an RCU grace period and blocks all other
nftables transactions. After this delay, the grace period is over, so neither the close nor the exit of this process
waits.
"""


@contextmanager
def open_session() -> Iterator[Session]:
    """Open a netfilter session in the calling thread's network namespace.

    The socket is closed in the background, `CLOSE_DELAY_SECONDS` after the end of the ``with`` block.
    """
    session = Session(NETFILTER)
    try:
        yield session
    finally:
        _closer.close_later(session)


class _Closer:
    """Closes netlink sessions in the background, `CLOSE_DELAY_SECONDS` after the caller has finished with them.

    One thread closes all sessions, because each thread needs memory.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget all sessions. A forked child calls this, because the closing thread exists only in its parent."""
        self._sessions: deque[tuple[float, Session]] = deque()  # each with the time.monotonic() at which to close it
        self._running = _thread.allocate_lock()  # held by the thread that closes sessions

    def close_later(self, session: Session) -> None:
        self._sessions.append((time.monotonic() + CLOSE_DELAY_SECONDS, session))
        if self._running.acquire(blocking=False):
            in_background(self._close_all)

    def _close_all(self) -> None:
        while True:
            while self._sessions:
                due, session = self._sessions.popleft()
                time.sleep(max(0.0, due - time.monotonic()))
                session.close()
            self._running.release()
            if not self._sessions or not self._running.acquire(blocking=False):
                return


_closer = _Closer()
os.register_at_fork(after_in_child=_closer.forget)


def comments(table: str, chain: str, limit: int = sys.maxsize) -> list[str]:
    """Return the comment of each rule of a chain, or "" for a rule without a comment.

    ``table`` is family and name (``inet hawse``). A missing chain gives an empty list. Runs in the calling thread's
    network namespace. Raises `KernelError` if the chain has more than ``limit`` rules.
    """
    request = table_header(table) + text(RULE_CHAIN, chain)
    texts = recording.recorder.rule_comments(table, chain) if recording.recorder is not None else []
    with open_session() as session, kernel_errors("list rules of", f"{table} {chain}", ignore=(errno.ENOENT,)):
        rules = session.dump(GET_RULE, request, limit=limit)
        texts += [_comment(read(rule, NFGENMSG.size).get(USER_DATA, b"")) for rule in rules]
    return texts


def expressions(rule: Mapping[int, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the data of each expression of a rule; ``rule`` are the attributes that the kernel lists."""
    for _, listed in each(rule.get(EXPRESSIONS, b"")):
        expression = read(listed)
        yield expression[EXPRESSION_NAME], expression.get(EXPRESSION_DATA, b"")


def table_header(table: str) -> bytes:
    """Return the beginning of a netlink message about a table's rules or sets: the table's family and name."""
    family, _, name = table.partition(" ")
    return NFGENMSG.pack(FAMILIES[family], 0, 0) + text(TABLE, name)


def table_of(body: bytes) -> str:
    """Return family and name of the table that a netlink message concerns; ``body`` begins with a `table_header`."""
    return f"{FAMILY_NAMES[body[0]]} {read_text(read(body, NFGENMSG.size)[TABLE])}"


def comment(value: str) -> bytes:
    """Return the netlink attribute that gives a new nftables rule the comment ``value``."""
    written = value.encode() + b"\0"
    return attribute(USER_DATA, bytes([COMMENT, len(written)]) + written)


def _comment(data: bytes) -> str:
    """Return the comment in a rule's user data, or "" if the user data contains no comment.

    The user data is a sequence of type, length and value.
    """
    while len(data) >= 2:
        kind, length = data[0], data[1]
        if kind == COMMENT:
            return data[2 : 2 + length].rstrip(b"\0").decode(errors="replace")
        data = data[2 + length :]
    return ""
