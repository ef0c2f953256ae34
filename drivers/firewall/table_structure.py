"""The structure of a table: chains, rules and sets without their elements, as the kernel lists them.

`find` returns a table's present structure, and `expected` returns the structure that the table should have. For
`expected`, each process once loads the static rules into an empty network namespace, and lists them there. The two
structures can be compared, because the same kernel and library always produce the same list for the same rules. A
parameter ``table`` is family and name of a table (``inet hawse``).
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from drivers.firewall.encoding import ruleset
from drivers.linux import libnftables, netns
from drivers.linux.attributes import attribute, each, nested, read, read_text, text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import Message, Session
from drivers.linux.nfnetlink import (
    EXPRESSIONS,
    FAMILY_NAMES,
    GET_CHAIN,
    GET_RULE,
    NFGENMSG,
    RULE_CHAIN,
    expressions,
    open_session,
    table_header,
)

GET_TABLE, GET_SET, GET_ELEMENTS = 10 << 8 | 1, 10 << 8 | 10, 10 << 8 | 13  # message types NFT_MSG_GET…
NEW_TABLE, NEW_CHAIN, NEW_RULE = 10 << 8 | 0, 10 << 8 | 3, 10 << 8 | 6  # message types NFT_MSG_NEW…
DELETE_TABLE = 10 << 8 | 2  # message type NFT_MSG_DELTABLE
CREATE, ONLY_NEW, APPEND = 0x400, 0x200, 0x800  # message flags (kernel: NLM_F_CREATE, NLM_F_EXCL, NLM_F_APPEND)
HOOK = 4  # netlink attribute number (kernel constant NFTA_CHAIN_HOOK), which contains other attributes
TABLE, TABLE_FLAGS, TABLE_HANDLE = 1, 2, 4  # NFTA_TABLE_NAME (NFTA_*_TABLE in other messages), _FLAGS, _HANDLE
CHAIN_NAME, CHAIN_PARTS = 3, (4, 5, 7, 10)  # attributes NFTA_CHAIN_NAME; NFTA_CHAIN_HOOK, _POLICY, _TYPE, _FLAGS
SET_NAME, SET_PARTS = 2, (3, 4, 5, 6, 7, 9)  # NFTA_SET_NAME; _FLAGS, _KEY_TYPE, _KEY_LEN, _DATA_TYPE, _DATA_LEN, _DESC
COMPAT = 5  # netlink attribute number (kernel constant NFTA_RULE_COMPAT)
LOOKUP_SET = 1  # netlink attribute number (kernel constant NFTA_LOOKUP_SET)
ELEMENTS = 3  # netlink attribute number (kernel constant NFTA_SET_ELEM_LIST_ELEMENTS)
ANONYMOUS = b"__"  # prefix of the names of anonymous sets, which only one rule uses

Parts = tuple[bytes, ...]


class Structure(NamedTuple):
    """The flags, chains, sets and rules of a table, without counters and handles, so that two tables can be compared.

    ``chains`` and ``sets`` map each name to values of netlink attributes. ``rules`` maps each chain to its rules.
    """

    flags: bytes
    chains: Mapping[str, Parts]
    sets: Mapping[str, Parts]
    rules: Mapping[str, tuple[object, ...]]


@cache
def expected(table: str, rules: str = "") -> Structure:
    """Return the expected structure of one of hawse's tables, as libnftables and this kernel create it.

    ``rules`` is a script that adds rules to the static rules.
    """
    with netns.new_netns():
        libnftables.run(f"add table {table}\n{ruleset(table)}\n{rules}")
        made = find(table)
    assert made is not None
    return made


def find(table: str, limit: int = sys.maxsize) -> Structure | None:
    """Return the structure of a table in the calling thread's namespace, or None if it does not exist.

    Raises `KernelError` if the table has more than ``limit`` chains, sets or rules. Also raises it if the kernel needs
    more than ``limit`` messages to list the elements of an anonymous set.
    """
    with open_session() as session:
        return _read(session, table, limit)


def handles() -> dict[tuple[str, str], int]:
    """Return the handle of each table in the calling thread's namespace, by family and name.

    A table that was made later has a larger handle.
    """
    with open_session() as session, kernel_errors("list", "tables"):
        listed = session.dump(GET_TABLE, NFGENMSG.pack(0, 0, 0))
    tables = ((message[0], read(message, NFGENMSG.size)) for message in listed)
    return {(FAMILY_NAMES.get(f, ""), read_text(t[TABLE])): int.from_bytes(t[TABLE_HANDLE]) for f, t in tables}


def messages(table: str) -> list[Message]:
    """Return the netlink messages that make a copy of a table in another namespace, in the order to send them.

    The table must have no sets. The rules of the copy have no comments.
    """
    beginning = table_header(table)
    with open_session() as session, kernel_errors("list rules of", table):
        chains, rules = _listed(session, GET_CHAIN, table), _listed(session, GET_RULE, table)
    copies = [Message(NEW_TABLE, CREATE | ONLY_NEW, beginning)]
    for chain in chains:
        parts = ((kind, chain[kind]) for kind in (CHAIN_NAME, *CHAIN_PARTS) if kind in chain)
        body = b"".join(nested(kind, value) if kind == HOOK else attribute(kind, value) for kind, value in parts)
        copies.append(Message(NEW_CHAIN, CREATE, beginning + body))
    for rule in rules:
        body = attribute(RULE_CHAIN, rule[RULE_CHAIN]) + nested(EXPRESSIONS, rule[EXPRESSIONS])
        copies.append(Message(NEW_RULE, CREATE | APPEND, beginning + body))
    return copies


def _read(session: Session, table: str, limit: int) -> Structure | None:
    answers: list[bytes] = []
    with kernel_errors("look up table", table, ignore=(errno.ENOENT,)):
        answers = session.request(GET_TABLE, table_header(table))
    if not answers:
        return None
    with kernel_errors("list rules of", table):
        chains = _listed(session, GET_CHAIN, table, limit)
        sets = {read_text(s[SET_NAME]): _parts(s, SET_PARTS) for s in _listed(session, GET_SET, table, limit)}
        anonymous = {
            name.encode(): _contents(session, table, name, limit)
            for name in sets
            if name.encode().startswith(ANONYMOUS)
        }
        rules: dict[str, list[object]] = {}
        for rule in _listed(session, GET_RULE, table, limit):
            rules.setdefault(read_text(rule[RULE_CHAIN]), []).append(_rule(rule, anonymous))
    return Structure(
        read(answers[0], NFGENMSG.size).get(TABLE_FLAGS, b""),
        {read_text(c[CHAIN_NAME]): _parts(c, CHAIN_PARTS) for c in chains},
        {name: parts for name, parts in sets.items() if name.encode() not in anonymous},
        {chain: tuple(chain_rules) for chain, chain_rules in rules.items()},
    )


def _listed(session: Session, kind: int, table: str, limit: int = sys.maxsize) -> list[dict[int, bytes]]:
    """Return a table's chains, sets or rules, each as a mapping from attribute numbers to values.

    ``kind`` is the type of the netlink request, which selects chains, sets or rules. If the kernel lists objects of
    other tables too, they are left out. Raises OSError if more than ``limit`` objects would be returned.
    """
    name = text(TABLE, table.partition(" ")[2])

    def is_of_table(message: bytes) -> bool:
        return message.startswith(name, NFGENMSG.size)

    return [read(message, NFGENMSG.size) for message in session.dump(kind, table_header(table), is_of_table, limit)]


def _parts(attributes: Mapping[int, bytes], kinds: tuple[int, ...]) -> Parts:
    return tuple(attributes.get(kind, b"") for kind in kinds)


def _contents(session: Session, table: str, set_name: str, limit: int) -> frozenset[bytes]:
    listed = session.dump(GET_ELEMENTS, table_header(table) + text(SET_NAME, set_name), limit=limit)
    return frozenset(item for message in listed for _, item in each(read(message, NFGENMSG.size).get(ELEMENTS, b"")))


def _rule(attributes: Mapping[int, bytes], anonymous: Mapping[bytes, frozenset[bytes]]) -> object:
    comparable = (_expression(name, data, anonymous) for name, data in expressions(attributes))
    return attributes.get(COMPAT, b""), tuple(comparable)


def _expression(name: bytes, data: bytes, anonymous: Mapping[bytes, frozenset[bytes]]) -> object:
    """Return a rule's expression in a form that is the same each time the rule is loaded.

    ``name`` and ``data`` are the expression's name and attributes. ``anonymous`` maps the names of anonymous sets to
    their elements. The result contains these elements instead of the set's name. The kernel puts a number into the
    name, and this number differs after each load.
    """
    if name.startswith(b"lookup"):
        attributes = read(data)
        looked_up = attributes[LOOKUP_SET].rstrip(b"\0")
        if looked_up in anonymous:
            return name, anonymous[looked_up], tuple(sorted((k, v) for k, v in attributes.items() if k != LOOKUP_SET))
    return name, data
