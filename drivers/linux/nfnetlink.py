"""The comments on a chain's rules, asked of the kernel itself.

Every command that changes something looks at the notes that the firewall keeps there. nftables' library reads names,
the table and every set before it answers, which takes a hundred times as long as the question.
"""

from __future__ import annotations

import errno
import struct

from drivers.linux.attributes import read, text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Session

NETFILTER = 12  # NETLINK_NETFILTER
GET_RULE = 10 << 8 | 7  # NFNL_SUBSYS_NFTABLES with NFT_MSG_GETRULE
FAMILIES = {"inet": 1, "bridge": 7}  # NFPROTO_*
TABLE, CHAIN, USER_DATA = 1, 2, 7  # NFTA_RULE_*, and NFTA_SET_ELEM_LIST_TABLE is the first of them
COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT
NFGENMSG = struct.Struct("!BBH")  # family, version, resource


def comments(table: str, chain: str) -> list[str]:
    """The comment of each rule of a chain in the calling thread's namespace, "" for none.

    ``table`` is as nftables writes it, ``inet hawse``. A chain that is not there has no rules.
    """
    wanted = table_header(table) + text(CHAIN, chain)
    session = Session(NETFILTER)
    try:
        with kernel_errors("list rules of", f"{table} {chain}", ignore=(errno.ENOENT,)):
            return [_comment(read(m, NFGENMSG.size).get(USER_DATA, b"")) for m in session.dump(GET_RULE, wanted)]
    finally:
        session.close()
    return []


def table_header(table: str) -> bytes:
    """How a message about a table's rules or sets begins: its family and its name."""
    family, _, name = table.partition(" ")
    return NFGENMSG.pack(FAMILIES[family], 0, 0) + text(TABLE, name)


def _comment(data: bytes) -> str:
    """Find the comment among what nftables keeps with a rule: type, length and value, one after the other."""
    while len(data) >= 2:
        kind, length = data[0], data[1]
        if kind == COMMENT:
            return data[2 : 2 + length].rstrip(b"\0").decode(errors="replace")
        data = data[2 + length :]
    return ""
