"""DNS messages (RFC 1035, EDNS of RFC 6891): parses and builds queries, and builds replies, as bytes.

This module knows only the message format, no networks or sockets. A *question* is the encoded name, type and class as
in a message. Its lookup key is the same bytes in lower case. The conversion changes only letters of the name: a length
octet is at most 63, which is less than "A" (65), and the codes of the types in the DNS tables are less than "A" too.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

A, NS, PTR, MX, AAAA, OPT = 1, 2, 12, 15, 28, 41
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
PORT = 53
HEADER = 12  # bytes (RFC 1035, section 4.1.1)
PLAIN_LIMIT = 512
"""Maximum bytes of a UDP reply to a client without EDNS (RFC 1035 4.2.1)."""
STREAM_LIMIT = 65535  # bytes; a message over TCP has a length of two bytes
EDNS_SIZE = 4096
"""Maximum bytes of a UDP reply to a client, even if the client accepts more; also the UDP payload size that hawse
announces by EDNS.
"""
UPSTREAM_SIZE = 1232
"""Maximum bytes of a UDP reply that hawse requests from upstream servers; such a reply is usually not fragmented."""

QR, TC, RD, RA, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE = 0x7800  # the bits of the operation in a message's flags
CLASS_IN = b"\0\1"
OPT_REPLY = b"\0" + OPT.to_bytes(2, "big") + EDNS_SIZE.to_bytes(2, "big") + bytes(6)


class Query(NamedTuple):
    """A well-formed query: the message and its parts.

    - ``question``: the encoded name, type and class.
    - ``flags``: the 16 flag bits of the header.
    - ``type``: the number of the record type.
    - ``limit``: the maximum size of the reply in bytes.
    """

    message: bytes
    question: bytes
    flags: int
    type: int
    limit: int
    opt: int = 0
    """Offset of the OPT record in the message, or 0 if the message has no OPT record."""

    @property
    def edns(self) -> bool:
        """Whether the query has an OPT record."""
        return self.opt > 0

    @property
    def key(self) -> bytes:
        """The key by which the question is looked up in the DNS tables."""
        return self.question.lower()

    @property
    def optional(self) -> bool:
        """Whether the query has EDNS options, or a record besides the question and the OPT record.

        Because such a query is rarely repeated, its reply is not cached.
        """
        return len(self.message) > HEADER + len(self.question) + (len(OPT_REPLY) if self.edns else 0)

    @property
    def single_label(self) -> bool:
        """Whether the name has one label or is the root."""
        first = self.question[0]
        return first == 0 or self.question[first + 1] == 0

    @property
    def lowered(self) -> bool:
        """Whether `for_datagram` lowers the maximum reply size that the query requests from an upstream server.

        The size is lowered if the client accepts larger UDP replies than hawse requests from upstream servers. A signed
        query is never changed.
        """
        if not self.opt or self.message[10:12] != b"\0\1":
            return False
        return int.from_bytes(self.message[self.opt + 3 : self.opt + 5], "big") > UPSTREAM_SIZE

    def for_datagram(self) -> bytes:
        """Return the message to send to an upstream server by UDP.

        If `lowered` is True, the message requests replies of at most `UPSTREAM_SIZE` bytes. Otherwise it is unchanged.
        """
        if not self.lowered:
            return self.message
        return self.message[: self.opt + 3] + UPSTREAM_SIZE.to_bytes(2, "big") + self.message[self.opt + 5 :]


class MalformedMessage(ValueError):
    """Raised for a message that is not an answerable query; ``reply`` is the reply to send, or None for no reply."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__("malformed DNS message")
        self.reply = reply


def encode_name(name: str) -> bytes | None:
    """Encode a name; returns None for an empty label, a label over 63 bytes, or a name over 255 bytes."""
    labels = [label.encode("utf-8", "surrogateescape") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        return None
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return wire if len(wire) <= 255 else None


def question(name: bytes, kind: int) -> bytes:
    """Return the lookup key in the DNS tables for an encoded name and the record type ``kind``; the class is IN."""
    return name.lower() + kind.to_bytes(2, "big") + CLASS_IN


def make_query(identity: bytes, name: bytes, kind: int) -> bytes:
    """Return a query for an encoded name and the record type ``kind``, with the two bytes ``identity`` as its id."""
    return identity + RD.to_bytes(2, "big") + b"\0\1" + bytes(6) + question(name, kind)


def record(kind: int, ttl: int, data: bytes) -> bytes:
    """Return an encoded record for the name in the question; the record has a pointer to this name (offset 12).

    ``kind`` is the record type, ``ttl`` is in seconds, and ``data`` is the record's encoded value (RDATA).
    """
    head = b"\xc0\x0c" + kind.to_bytes(2, "big") + CLASS_IN + ttl.to_bytes(4, "big")
    return head + len(data).to_bytes(2, "big") + data


def reverse_name(address: IPv4Address | IPv6Address) -> bytes:
    """Return the encoded in-addr.arpa or ip6.arpa name of an address."""
    wire = encode_name(address.reverse_pointer)
    assert wire is not None
    return wire


def parse_query(message: bytes, *, stream: bool = False) -> Query:
    """Parse a query; raises `MalformedMessage` with the reply that Docker's resolver would send to a malformed query.

    ``stream`` is True if the query came by TCP, so that its reply has no UDP size limit.
    """
    if len(message) < HEADER or message[2] & 0x80:
        raise MalformedMessage(None)
    flags = int.from_bytes(message[2:4], "big")
    if flags & OPCODE not in (0, 4 << 11):
        raise MalformedMessage(_bare(message, NOTIMP))
    counts = [int.from_bytes(message[i : i + 2], "big") for i in (4, 6, 8, 10)]
    if counts[0] != 1 or counts[1] > 1 or counts[2] > 1 or counts[3] > 2:
        raise MalformedMessage(_bare(message, FORMERR))
    end = _end_of_name(message, HEADER) + 4
    if end <= 4 or end > len(message):
        raise MalformedMessage(_bare(message, FORMERR))
    opt = _find_opt(message, end, counts[1] + counts[2], counts[3])
    size = int.from_bytes(message[opt + 3 : opt + 5], "big") if opt else 0
    limit = STREAM_LIMIT if stream else min(max(size, PLAIN_LIMIT), EDNS_SIZE)
    kind = int.from_bytes(message[end - 4 : end - 2], "big")
    return Query(message, message[HEADER:end], flags, kind, limit, opt)


def _bare(message: bytes, code: int) -> bytes:
    """Return a reply of only a header, with the response code ``code``, for a query with an unreadable question."""
    flags = int.from_bytes(message[2:4], "big") & (OPCODE | RD if code == NOTIMP else RD)
    return message[:2] + (QR | flags | code).to_bytes(2, "big") + bytes(8)


def _end_of_name(message: bytes, at: int) -> int:
    """Return the offset after the name that starts at the offset ``at``, or -1 if the name is invalid or cut off.

    A name with a compression pointer is invalid, because the message has no earlier name as a target.
    """
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
    """Return the offset of the OPT record, or 0 if the message has none or a record is cut off.

    ``at`` is the offset of the first record after the question. ``additional`` is the number of records in the
    additional section, where the OPT record is. ``others`` is the number of records before this section.
    """
    for index in range(others + additional):
        end = _end_of_record(message, at)
        if end < 0:
            return 0
        if index >= others and message[at : at + 3] == b"\0\0\x29":
            return at
        at = end
    return 0


def _end_of_record(message: bytes, at: int) -> int:
    """Return the offset after the record that starts at the offset ``at``, or -1 if the record is cut off or malformed.

    A compression pointer ends the record's name; the pointer is not followed.
    """
    while at < len(message) and 0 < message[at] < 64:
        at += message[at] + 1
    if at >= len(message) or 64 <= message[at] < 192:
        return -1
    data = at + (1 if message[at] == 0 else 2) + 10
    end = data + int.from_bytes(message[data - 2 : data], "big")
    return end if data <= len(message) and end <= len(message) else -1


def is_truncated(message: bytes) -> bool:
    """Return whether a message has the TC flag, which means that the message is incomplete."""
    return bool(int.from_bytes(message[2:4], "big") & TC)


def shortened(query: Query, message: bytes) -> bytes:
    """Cut the upstream reply ``message`` to ``query.limit`` bytes: keep the first answers that fit, set the TC flag."""
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
    """Return a reply of at most ``query.limit`` bytes; if records must be left out, the TC flag is set.

    ``code`` is the response code (RCODE). ``records`` are the encoded records of the answer.
    """
    room = query.limit - HEADER - len(query.question) - (len(OPT_REPLY) if query.edns else 0)
    fitting, size = 0, 0
    for rr in records:
        size += len(rr)
        if size > room:
            break
        fitting += 1
    able = 0 if code == SERVFAIL else RA  # as in Docker, SERVFAIL has no flag RA (recursion available)
    kept = OPCODE if query.flags & OPCODE else RD | CD
    flags = QR | able | (query.flags & kept) | code | (TC if fitting < len(records) else 0)
    head = query.message[:2] + flags.to_bytes(2, "big") + b"\0\1" + fitting.to_bytes(2, "big")
    tail = b"\0\0\0\1" if query.edns else bytes(4)
    return b"".join([head, tail, query.question, *records[:fitting], OPT_REPLY if query.edns else b""])
