"""Commands of nft(8) and conntrack(8) for nfnetlink messages."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterable, Sequence
from itertools import groupby

from drivers.firewall import decoding, table_repair
from drivers.firewall.elements import Element
from drivers.firewall.encoding import FILES, rules_file, ruleset, shapes
from drivers.firewall.transaction import ADD, DESTROY, ELEMENTS, SET
from drivers.linux.attributes import each, read, read_text
from drivers.linux.conntrack import (
    DELETE,
    DESTINATION,
    FILTER,
    PROTO_DESTINATION_PORT,
    PROTO_NUMBER,
    PROTO_SOURCE_PORT,
    PROTOCOLS,
    SOURCE,
    STATUS,
    TUPLE_IP,
    TUPLE_ORIG,
    TUPLE_PROTO,
    TUPLE_REPLY,
)
from drivers.linux.netlink import Message
from drivers.linux.nfnetlink import NFGENMSG, table_of

VERBS = {ADD: "add", DESTROY: "destroy"}
ADDRESS_WORDS = {TUPLE_ORIG: ("--orig-src", "--orig-dst"), TUPLE_REPLY: ("--reply-src", "--reply-dst")}


def script(messages: Iterable[Message]) -> str:
    """Return the nftables script for the transaction in ``messages``; "" if no message changes a set element.

    Only messages that add or remove set elements are translated.
    """
    changes = [change for message in messages if message.kind in VERBS for change in _changes(message)]
    lines: list[str] = []
    for (verb, table), group in groupby(changes, key=lambda change: change[:2]):
        lines += table_repair.commands(table, verb, [element for _, _, element in group])
    return "".join(lines)


def _changes(message: Message) -> list[tuple[str, str, Element]]:
    """Return (verb, table, element) for each set element in a message; the verb is "add" or "destroy"."""
    attributes, table = read(message.body, NFGENMSG.size), table_of(message.body)
    name = read_text(attributes[SET])
    shape = shapes(table)[name]
    listed = (decoding.unpacked(item, shape) for _, item in each(attributes[ELEMENTS]))
    return [(VERBS[message.kind], table, decoding.element(name, packed, shape)) for packed in listed]


def nft(text: str) -> tuple[list[str], str]:
    """Return the words of the nft(8) command that runs the script ``text``, and the command's standard input.

    A script of one line is an argument of the command, and the input is "". If ``text`` contains all lines of one of
    hawse's rules files, an ``include`` of the file replaces them, so that a user easily finds the rest of the script.
    """
    for table, file in FILES.items():
        text = text.replace(ruleset(table), f'include "{rules_file(file)}"')
    lines = text.strip().splitlines()
    return (["nft", lines[0]], "") if len(lines) == 1 else (["nft", "-f", "-"], text.rstrip("\n") + "\n")


def conntrack(message: Message) -> list[str]:
    """Return the words of the conntrack(8) command for ``message``, which deletes conntrack entries."""
    assert message.kind == DELETE
    attributes = read(message.body, NFGENMSG.size)
    words = ["conntrack", "-D", "-f", "ipv4" if message.body[0] == socket.AF_INET else "ipv6"]
    for direction, (source, destination) in ADDRESS_WORDS.items():
        if direction in attributes:
            chosen = read(attributes[direction])
            words += _addresses(chosen.get(TUPLE_IP, b""), source, destination)
            words += _ports(chosen.get(TUPLE_PROTO, b""), filtered=FILTER in attributes)
    return [*words, "--dst-nat"] if STATUS in attributes else words


def _addresses(data: bytes, source: str, destination: str) -> list[str]:
    values = read(data)
    return [
        text
        for kinds, word in ((SOURCE, source), (DESTINATION, destination))
        for kind, family in zip(kinds, (socket.AF_INET, socket.AF_INET6), strict=True)
        if kind in values
        for text in (word, socket.inet_ntop(family, values[kind]))
    ]


def _ports(data: bytes, *, filtered: bool) -> list[str]:
    values = read(data)
    if PROTO_NUMBER not in values:
        return []
    number = values[PROTO_NUMBER][0]
    words = ["-p", next((name for name, protocol in PROTOCOLS.items() if protocol == number), str(number))]
    kinds = ((PROTO_DESTINATION_PORT, "--dport"),) if filtered else (
        (PROTO_SOURCE_PORT, "--sport"), (PROTO_DESTINATION_PORT, "--dport"),
    )  # fmt: skip
    return words + [
        text for kind, word in kinds if kind in values for text in (word, str(int.from_bytes(values[kind])))
    ]


def quoted(words: Sequence[str], script: str = "") -> str:
    """Return a command and its input as a user types them in a shell.

    ``words`` are the words of the command. The input ``script`` becomes a here-document; "" means no input.
    """
    line = shlex.join(words)
    return f"{line} <<'EOF'\n{script}EOF" if script else line
