"""Read the matches and targets of iptables-nft from the kernel, each with its structure in bytes.

The structures are read by netlink, because nftables' JSON form has at most the names of matches and targets. The
functions run in the calling thread's network namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from drivers.linux.attributes import read, read_text
from drivers.linux.errors import kernel_errors
from drivers.linux.nfnetlink import GET_RULE, NFGENMSG, expressions, open_session, table_header

HANDLE = 3  # netlink attribute number NFTA_RULE_HANDLE
NAME, INFO = 1, 3  # netlink attribute numbers NFTA_MATCH_*, and the equal NFTA_TARGET_*
KINDS = ("match", "target")


class Expression(NamedTuple):
    """A match or target of iptables-nft: its type, name, and structure in bytes (linux/netfilter/xt_*.h).

    ``type`` is "match" or "target".
    """

    type: str
    name: str
    info: bytes


UNKNOWN = Expression("target", "", b"")


def read_rules(table: str) -> dict[int, list[Expression]]:
    """Return the matches and targets of each rule of a table, in their order, by the rule's handle.

    ``table`` is family and name (``ip filter``). Raises `DriverError` if the kernel cannot list the rules.
    """
    with open_session() as session, kernel_errors("list rules of", table):
        listed = session.dump(GET_RULE, table_header(table))
    rules = [read(message, NFGENMSG.size) for message in listed]
    return {int.from_bytes(rule[HANDLE], "big"): list(_of_rule(rule)) for rule in rules}


def _of_rule(rule: dict[int, bytes]) -> Iterator[Expression]:
    for kind, data in ((read_text(name), read(data)) for name, data in expressions(rule)):
        if kind in KINDS:
            yield Expression(kind, read_text(data[NAME]), data.get(INFO, b""))
