"""Read tar archives strictly, in one pass and within limits: ustar, pax, GNU long names and pax sparse files.

Python's tarfile is not used, because it treats an unreadable header as the end of the archive. tarfile also reads
headers of any size into memory and stores every member. In this module, an unreadable header is an error, with the
message of Go's archive/tar, which Docker uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct, field

from engine.errors import InvalidArgument, shown

REGULAR, HARD_LINK, SYMBOLIC_LINK, CHARACTER, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
CUT_SHORT = "unexpected EOF"
BLOCK_BYTES = 512

_CHUNK_BYTES = 1 << 20
_SPECIAL_LIMIT_BYTES = 1 << 20  # maximum bytes of one pax header or long name, as in Go
_PATH_LIMIT_BYTES = 4095  # maximum bytes of a path: PATH_MAX without the final NUL
_SPARSE_LIMIT = 65536  # maximum number of data regions in one sparse file
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_WITHOUT_CONTENT = (HARD_LINK, SYMBOLIC_LINK, CHARACTER, BLOCK, DIRECTORY, FIFO)
_ZEROS = bytes(BLOCK_BYTES)
_XATTR = b"SCHILY.xattr."
_OCTAL = re.compile(rb"[0-7]*")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,19}")
_TIME = re.compile(rb"(-?[0-9]{1,19})(?:\.([0-9]*))?")
_NANOSECONDS = 10**9

Pax = dict[bytes, bytes]


class TarMember(Struct):
    """One member of a tar archive.

    - ``type``: the type flag of the header, one byte.
    - ``size``: the number of bytes of the unpacked file.
    - ``stored``: the number of bytes of content that follow the header in the archive.
    - ``mtime``: nanoseconds since 1970.
    - ``device``: the major and minor number of a device file.
    - ``sparse``: (offset, length), in bytes, of each data region of a sparse file; None for any other file. The archive
      contains only these regions.
    """

    name: bytes
    type: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    stored: int = 0
    mtime: int = 0
    linkname: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: Pax = field(default_factory=dict)
    sparse: list[tuple[int, int]] | None = None


class TarReader:
    """Iterates over the members of a tar stream.

    The caller reads the content of a member (`chunks`) before it takes the next member. ``limit`` is the maximum number
    of headers in the stream. Raises `InvalidArgument` for an invalid archive.
    """

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream, self._limit, self._headers = stream, limit, 0
        self._left = self._padding = 0

    def __iter__(self) -> Iterator[TarMember]:
        while True:
            self._skip()
            member = self._next()
            if member is None:
                return
            yield member

    @property
    def headers(self) -> int:
        """The number of headers that have been read from the tar stream."""
        return self._headers

    def chunks(self) -> Iterator[bytes]:
        """Yield the content of the current member in pieces. The content of a sparse file is only its data regions."""
        while self._left:
            data = self._stream.read(min(_CHUNK_BYTES, self._left))
            if not data:
                raise InvalidArgument(CUT_SHORT)
            self._left -= len(data)
            yield data

    def _skip(self) -> None:
        """Skip the rest of the current member; raises `InvalidArgument` if its content is cut off.

        A seek beyond the end of a file is no error. Therefore the last byte of the content is read, not skipped.
        Missing padding at the end is accepted, as in Go.
        """
        if self._left > 1 and self._stream.seekable():
            self._stream.seek(self._left - 1, 1)
            self._left = 1
        for _ in self.chunks():
            pass
        self._stream.read(self._padding)
        self._padding = 0

    def _next(self) -> TarMember | None:
        """Read headers up to the next member and return the member, or None at the end of the archive."""
        pax: Pax = {}
        regions: list[bytes] = []
        long_name = long_link = None
        while (block := self._block()) is not None:
            kind = block[156:157]
            if kind == _PAX:
                pax, regions = parse_pax(self._special(block))
            elif kind == _PAX_GLOBAL:
                self._special(block)  # like Docker, ignore a pax global header, which is for all later members
            elif kind == _LONG_NAME:
                long_name = self._special(block).partition(b"\0")[0]
            elif kind == _LONG_LINK:
                long_link = self._special(block).partition(b"\0")[0]
            else:
                member = _parse_block(block)
                member.name = long_name or member.name
                member.linkname = long_link or member.linkname
                _apply_pax(member, pax)
                self._begin(member, pax, regions)
                return member
        return None

    def _begin(self, member: TarMember, pax: Pax, regions: list[bytes]) -> None:
        """Prepare to read the content of a member: store the content's size and, for a sparse file, its data regions.

        ``pax`` and ``regions`` are the values that `parse_pax` returned for the member's pax header. Raises
        `InvalidArgument` for an unknown type of member and for a path that is too long.
        """
        if member.type == b"\0":
            member.type = DIRECTORY if member.name.endswith(b"/") else REGULAR
        if member.type in _WITHOUT_CONTENT:
            member.size = member.stored = 0
        elif member.type != REGULAR:
            raise InvalidArgument(f"unhandled tar header type {member.type[0]}")
        for path in (member.name, member.linkname):
            if len(path) > _PATH_LIMIT_BYTES:
                raise InvalidArgument(f"{shown(path)}: file name too long")
        self._left, self._padding = member.stored, -member.stored % BLOCK_BYTES
        if member.type == REGULAR and any(key.startswith(b"GNU.sparse.") for key in pax):
            self._begin_sparse(member, pax, regions)

    def _begin_sparse(self, member: TarMember, pax: Pax, regions: list[bytes]) -> None:
        member.name = pax.get(b"GNU.sparse.name") or member.name
        version = pax.get(b"GNU.sparse.major"), pax.get(b"GNU.sparse.minor")
        if version == (b"1", b"0"):
            numbers = self._stored_map()
        elif b"GNU.sparse.map" in pax:
            numbers = [_integer(text) for text in pax[b"GNU.sparse.map"].split(b",") if text]
        else:
            numbers = [_integer(text) for text in regions]
        size = _integer(pax.get(b"GNU.sparse.realsize") or pax.get(b"GNU.sparse.size") or b"-1")
        member.size, member.sparse = size, _check_regions(numbers, size, self._left)

    def _stored_map(self) -> list[int]:
        """Read the sparse map that pax sparse format 1.0 stores before the content; return its offsets and lengths.

        The map is the number of regions, followed by the offset and the length of each region. Each number is on its
        own line, and the map is padded to whole blocks. In the result, offsets and lengths alternate.
        """
        blocks: list[bytes] = []
        lines, expected = 0, 1
        while lines < expected:
            if self._left < BLOCK_BYTES or len(blocks) * BLOCK_BYTES > _SPECIAL_LIMIT_BYTES:
                raise _invalid()
            blocks.append(self._exactly(BLOCK_BYTES))
            self._left -= BLOCK_BYTES
            lines += blocks[-1].count(b"\n")
            if expected == 1 and lines:
                expected += 2 * _natural(_integer(b"".join(blocks).partition(b"\n")[0]))
        return [_integer(line) for line in b"".join(blocks).split(b"\n")[1:expected]]

    def _block(self) -> bytes | None:
        """Return the next header block, or None at the end of the archive.

        The archive ends with two blocks of zeros or at the end of the stream.
        """
        block = self._stream.read(BLOCK_BYTES)
        if not block:
            return None
        if len(block) < BLOCK_BYTES:
            raise InvalidArgument(CUT_SHORT)
        if block == _ZEROS:
            if self._stream.read(BLOCK_BYTES) not in (_ZEROS, b""):
                raise _invalid()
            return None
        self._headers += 1
        if self._headers > self._limit:
            raise InvalidArgument(f"the archive has more than {self._limit} members")
        return block

    def _special(self, block: bytes) -> bytes:
        """Return the content of the special header ``block``: a pax header or a long name for the next member."""
        _check_sum(block)
        size = _natural(_number(block[124:136]))
        if size > _SPECIAL_LIMIT_BYTES:
            raise InvalidArgument("archive/tar: header field too long")
        return self._exactly(size + -size % BLOCK_BYTES)[:size]

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise InvalidArgument(CUT_SHORT)
        return data


def parse_pax(data: bytes) -> tuple[Pax, list[bytes]]:
    """Return the records of a pax header as a dict, and a list of the data regions of a sparse file.

    ``data`` is the content of the header. If several records have the same key, the dict has the value of the last.
    Raises `InvalidArgument` if the header is invalid.

    The list is for GNU tar's sparse format 0.0, and is empty for any other format. In the format 0.0, each data region
    has one record with its offset and one with its length. All regions use the same two keys. The list has the values
    of these records in the order of the header: offset, length, offset, length.
    """
    pax: Pax = {}
    regions: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 8)
        if space < 0 or not data[position:space].isdigit():
            raise _invalid()
        end = position + int(data[position:space])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not key or not equals or end > len(data) or data[end - 1 : end] != b"\n":
            raise _invalid()
        if b"\0" in key or (b"\0" in value and key in (b"path", b"linkpath", b"uname", b"gname")):
            raise _invalid()
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            regions.append(value)
        pax[key] = value
        position = end
    return pax, regions


def _parse_block(block: bytes) -> TarMember:
    _check_sum(block)
    name, magic = _text(block[:100]), block[257:263]
    if magic == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    size = _natural(_number(block[124:136]))
    kind = block[156:157]
    devices = kind in (CHARACTER, BLOCK)
    return TarMember(
        name=name,
        type=kind,
        mode=_number(block[100:108]),
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        size=size,
        stored=size,
        mtime=_number(block[136:148]) * _NANOSECONDS,
        linkname=_text(block[157:257]),
        device=(_number(block[329:337]), _number(block[337:345])) if devices else (0, 0),
    )


def _apply_pax(member: TarMember, pax: Pax) -> None:
    if not pax:
        return
    member.name = pax.get(b"path") or member.name
    member.linkname = pax.get(b"linkpath") or member.linkname
    if text := pax.get(b"size"):
        member.size = member.stored = _natural(_integer(text))
    if text := pax.get(b"uid"):
        member.uid = _integer(text)
    if text := pax.get(b"gid"):
        member.gid = _integer(text)
    if text := pax.get(b"mtime"):
        member.mtime = _time(text)
    member.xattrs = {key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)}


def _check_sum(block: bytes) -> None:
    """Check the checksum of a tar header; raises `InvalidArgument` if the checksum is wrong.

    A checksum that is the sum of signed bytes is accepted too, because some programs write such checksums.
    """
    recorded = _number(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    total = sum(rest)
    if recorded not in (total, total - 256 * sum(byte > 127 for byte in rest)):
        raise _invalid()


def _check_regions(numbers: list[int], size: int, stored: int) -> list[tuple[int, int]]:
    """Convert the numbers of a sparse map to data regions, each as (offset, length).

    In ``numbers``, offsets and lengths alternate. ``size`` is the size of the unpacked file, ``stored`` the size of the
    stored content, both in bytes. Raises `InvalidArgument` unless the regions ascend, lie within the file, and have the
    total length ``stored``.
    """
    if len(numbers) % 2 or len(numbers) > 2 * _SPARSE_LIMIT or size < 0:
        raise _invalid()
    regions = list(zip(numbers[::2], numbers[1::2], strict=True))
    end = 0
    for offset, length in regions:
        if length < 0 or offset < end or offset + length > size:
            raise _invalid()
        end = offset + length
    if sum(length for _, length in regions) != stored:
        raise _invalid()
    return regions


def _text(field_bytes: bytes) -> bytes:
    return field_bytes.partition(b"\0")[0]


def _number(field_bytes: bytes) -> int:
    """Parse a number of a tar header: octal, or the binary form that GNU tar writes for larger numbers.

    ``field_bytes`` is the whole field. Raises `InvalidArgument`.
    """
    if field_bytes[0] & 0x80:
        bits = 8 * len(field_bytes) - 1
        number = int.from_bytes(field_bytes, "big") & ((1 << bits) - 1)
        number -= (number >> bits - 1) << bits
        if not -(2**63) <= number < 2**63:
            raise _invalid()
        return number
    digits = field_bytes.partition(b"\0")[0].strip(b" ")
    if not _OCTAL.fullmatch(digits):
        raise _invalid()
    return int(digits or b"0", 8)


def _integer(text: bytes) -> int:
    if not _INTEGER.fullmatch(text):
        raise _invalid()
    return int(text)


def _time(text: bytes) -> int:
    """Convert a time of a pax header, such as ``1234.5`` seconds, to nanoseconds; raises `InvalidArgument`."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise _invalid()
    fraction = int((match[2] or b"")[:9].ljust(9, b"0"))
    return int(match[1]) * _NANOSECONDS + (-fraction if text.startswith(b"-") else fraction)


def _natural(number: int) -> int:
    if number < 0:
        raise _invalid()
    return number


def _invalid() -> InvalidArgument:
    return InvalidArgument("archive/tar: invalid tar header")
