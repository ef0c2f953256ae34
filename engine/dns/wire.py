"""DNS messages on the wire (RFC 1035, EDNS of RFC 6891): questions in, replies out, as bytes.

Knows the message format only, nothing of networks or sockets. A *question* is the encoded name, type and class as they
stand in a message. Lower-casing all its bytes gives its lookup key: length octets are at most 63 and so never letters,
and none of the types looked up here is a number that lower-casing would change.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

A, PTR, MX, AAAA, OPT = 1, 12, 15, 28, 41
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
PORT = 53
HEADER = 12
PLAIN_LIMIT = 512
"""Largest UDP reply to a client that sent no EDNS, in bytes (RFC 1035 4.2.1)."""
STREAM_LIMIT = 65535
EDNS_SIZE = 4096
"""UDP payload size we announce, and the largest UDP reply to a client that takes more, in bytes."""
UPSTREAM_SIZE = 1232
"""The largest UDP reply that an upstream server is asked for, in bytes: one that no way to us has to fragment."""

QR, TC, RD, RA, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE = 0x7800
CLASS_IN = b"\0\1"
OPT_REPLY = b"\0" + OPT.to_bytes(2, "big") + EDNS_SIZE.to_bytes(2, "big") + bytes(6)


class Query(NamedTuple):
    """A well-formed query: the message, its parts, and how large a reply its sender takes (bytes)."""

    message: bytes
    question: bytes
    flags: int
    type: int
    limit: int
    opt: int = 0
    """Where the OPT record begins in the message, 0 where there is none."""

    @property
    def edns(self) -> bool:
        """Return whether there is an OPT record."""
        return self.opt > 0

    @property
    def key(self) -> bytes:
        """What tables are searched for."""
        return self.question.lower()

    @property
    def optional(self) -> bool:
        """Whether more follows the question than an OPT record without options, so that it is hardly asked again."""
        return len(self.message) > HEADER + len(self.question) + (len(OPT_REPLY) if self.edns else 0)

    @property
    def single_label(self) -> bool:
        """Whether the name has one label (or is the root)."""
        first = self.question[0]
        return first == 0 or self.question[first + 1] == 0

    @property
    def lowered(self) -> bool:
        """Return whether `for_datagram` asks for less than the client takes. A signed query stays as it is."""
        if not self.opt or self.message[10:12] != b"\0\1":
            return False
        return int.from_bytes(self.message[self.opt + 3 : self.opt + 5], "big") > UPSTREAM_SIZE

    def for_datagram(self) -> bytes:
        """Return the message as it goes to an upstream server by UDP."""
        if not self.lowered:
            return self.message
        return self.message[: self.opt + 3] + UPSTREAM_SIZE.to_bytes(2, "big") + self.message[self.opt + 5 :]


class Malformed(ValueError):
    """Not a query that can be answered; ``reply`` is what its sender gets (None: nothing)."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__("malformed DNS message")
        self.reply = reply


def encode_name(name: str) -> bytes | None:
    """Encode a name; None where DNS cannot carry it (an empty or too long label, over 255 bytes)."""
    labels = [label.encode("utf-8", "surrogateescape") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        return None
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return wire if len(wire) <= 255 else None


def question(name: bytes, kind: int) -> bytes:
    """The lookup key of an encoded name and a type of class IN."""
    return name.lower() + kind.to_bytes(2, "big") + CLASS_IN


def record(kind: int, ttl: int, data: bytes) -> bytes:
    """Encode a record that belongs to the name in the question (a pointer to offset 12); ``ttl`` in seconds."""
    head = b"\xc0\x0c" + kind.to_bytes(2, "big") + CLASS_IN + ttl.to_bytes(4, "big")
    return head + len(data).to_bytes(2, "big") + data


def reverse_name(address: IPv4Address | IPv6Address) -> bytes:
    """Encode the in-addr.arpa or ip6.arpa name of an address."""
    wire = encode_name(address.reverse_pointer)
    assert wire is not None
    return wire


def parse_query(message: bytes, *, stream: bool = False) -> Query:
    """Take a query apart; raises `Malformed` with what Docker's resolver would answer."""
    if len(message) < HEADER or message[2] & 0x80:
        raise Malformed(None)
    flags = int.from_bytes(message[2:4], "big")
    if flags & OPCODE not in (0, 4 << 11):
        raise Malformed(_bare(message, NOTIMP))
    counts = [int.from_bytes(message[i : i + 2], "big") for i in (4, 6, 8, 10)]
    if counts[0] != 1 or counts[1] > 1 or counts[2] > 1 or counts[3] > 2:
        raise Malformed(_bare(message, FORMERR))
    end = _end_of_name(message, HEADER) + 4
    if end <= 4 or end > len(message):
        raise Malformed(_bare(message, FORMERR))
    opt = _find_opt(message, end, counts[1] + counts[2], counts[3])
    size = int.from_bytes(message[opt + 3 : opt + 5], "big") if opt else 0
    limit = STREAM_LIMIT if stream else min(max(size, PLAIN_LIMIT), EDNS_SIZE)
    kind = int.from_bytes(message[end - 4 : end - 2], "big")
    return Query(message, message[HEADER:end], flags, kind, limit, opt)


def _bare(message: bytes, code: int) -> bytes:
    """A reply of a header alone: for what has no readable question."""
    flags = int.from_bytes(message[2:4], "big") & (OPCODE | RD if code == NOTIMP else RD)
    return message[:2] + (QR | flags | code).to_bytes(2, "big") + bytes(8)


def _end_of_name(message: bytes, at: int) -> int:
    """Offset after an uncompressed name; -1 where there is none (a question has nothing to point back to)."""
    start = at
    while at < len(message):
        length = message[at]
        if length == 0:
            return at + 1 if at - start < 255 else -1
        if length > 63:
            return -1
        at += length + 1
    return -1


def _find_opt(message: bytes, at: int, others: int, additional: int) -> int:
    """Return the offset of the OPT record, one of the additional ones after ``others``; 0 if there is none."""
    for index in range(others + additional):
        end = _end_of_record(message, at)
        if end < 0:
            return 0
        if index >= others and message[at : at + 3] == b"\0\0\x29":
            return at
        at = end
    return 0


def _end_of_record(message: bytes, at: int) -> int:
    """Return the offset after a record; -1 if it is cut off. A name ends at a pointer, which is not followed."""
    while at < len(message) and 0 < message[at] < 64:
        at += message[at] + 1
    if at >= len(message) or 64 <= message[at] < 192:
        return -1
    data = at + (1 if message[at] == 0 else 2) + 10
    end = data + int.from_bytes(message[data - 2 : data], "big")
    return end if data <= len(message) and end <= len(message) else -1


def is_truncated(message: bytes) -> bool:
    """Return whether a message has TC set: there is more than it holds."""
    return bool(int.from_bytes(message[2:4], "big") & TC)


def shortened(query: Query, message: bytes) -> bytes:
    """Return an upstream server's reply as the client takes it: the first answers that fit, and TC."""
    start = at = HEADER + len(query.question)
    room, kept = query.limit - (len(OPT_REPLY) if query.edns else 0), 0
    for _ in range(int.from_bytes(message[6:8], "big") if message[4:6] == b"\0\1" else 0):
        end = _end_of_record(message, at)
        if not 0 < end <= room:
            break
        at, kept = end, kept + 1
    flags = int.from_bytes(message[2:4], "big") | TC
    head = message[:2] + flags.to_bytes(2, "big") + b"\0\1" + kept.to_bytes(2, "big")
    tail = b"\0\0\0\1" if query.edns else bytes(4)
    return b"".join([head, tail, query.question, message[start:at], OPT_REPLY if query.edns else b""])


def reply(query: Query, code: int, records: list[bytes]) -> bytes:
    """A reply to a query; records that do not fit are left out and TC is set."""
    room = query.limit - HEADER - len(query.question) - (len(OPT_REPLY) if query.edns else 0)
    fitting, size = 0, 0
    for rr in records:
        size += len(rr)
        if size > room:
            break
        fitting += 1
    able = 0 if code == SERVFAIL else RA  # as Docker's: what is not to be had is not offered
    kept = OPCODE if query.flags & OPCODE else RD | CD
    flags = QR | able | (query.flags & kept) | code | (TC if fitting < len(records) else 0)
    head = query.message[:2] + flags.to_bytes(2, "big") + b"\0\1" + fitting.to_bytes(2, "big")
    tail = b"\0\0\0\1" if query.edns else bytes(4)
    return b"".join([head, tail, query.question, *records[:fitting], OPT_REPLY if query.edns else b""])
