"""Open netfilter sessions, and read the comments of a chain's rules without libnftables.

hawse records settings in rule comments, and every command that changes the firewall reads these comments. libnftables
would take a hundred times as long, because it first reads the table and all sets of the table.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from drivers.linux import recording
from drivers.linux.attributes import read, text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import CLOSE_DELAY_SECONDS, Session, in_background

NETFILTER = 12  # netlink family (kernel constant NETLINK_NETFILTER)
GET_RULE = 10 << 8 | 7  # netlink message type: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE
FAMILIES = {"inet": 1, "ip": 2, "bridge": 7}  # numbers of address families (kernel constants NFPROTO_*)
TABLE, CHAIN, USER_DATA = 1, 2, 7  # attributes NFTA_RULE_*; TABLE is also NFTA_SET_ELEM_LIST_TABLE
COMMENT = 0  # type number of a comment (libnftnl constant NFTNL_UDATA_RULE_COMMENT)
NFGENMSG = struct.Struct("!BBH")  # struct nfgenmsg: family, version, resource


@contextmanager
def open_session() -> Iterator[Session]:
    """Open a netfilter session in the calling thread's network namespace.

    The socket is closed in the background, `CLOSE_DELAY_SECONDS` after the end of the ``with`` block.
    """
    session = Session(NETFILTER)
    try:
        yield session
    finally:
        in_background(session.close, CLOSE_DELAY_SECONDS)


def comments(table: str, chain: str) -> list[str]:
    """Return the comment of each rule of a chain, or "" for a rule without a comment.

    ``table`` is family and name (``inet hawse``). A missing chain gives an empty list. Runs in the calling thread's
    network namespace.
    """
    request = table_header(table) + text(CHAIN, chain)
    found = recording.recorder.rule_comments(table, chain) if recording.recorder is not None else []
    with open_session() as session, kernel_errors("list rules of", f"{table} {chain}", ignore=(errno.ENOENT,)):
        found += [_comment(read(m, NFGENMSG.size).get(USER_DATA, b"")) for m in session.dump(GET_RULE, request)]
    return found


def table_header(table: str) -> bytes:
    """Return the beginning of a netlink message about a table's rules or sets: the table's family and name."""
    family, _, name = table.partition(" ")
    return NFGENMSG.pack(FAMILIES[family], 0, 0) + text(TABLE, name)


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
