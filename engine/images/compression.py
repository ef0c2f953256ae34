"""Decompress gzip, bzip2, xz and zstd streams with bounded memory, and hash the data read.

The child process that decompresses layers has another root directory, and could execute no program of the host.
Therefore no external program is used.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO, Protocol, TypeVar

from engine.errors import InvalidArgument
from engine.images import zstd

_CHUNK_BYTES = 1 << 16
_PARTS_LIMIT = 1_000_000  # maximum number of gzip members, xz streams or zstd frames in one stream
_XZ_MEMORY_BYTES = 128 << 20  # bytes of memory that xz may use; `xz -9` needs 65 MiB
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_HEAD_BYTES = 8  # bytes that are read ahead to recognise the format of a stream

T = TypeVar("T")


class Decompressor(Protocol):
    """The interface that the decompressors of bz2 and lzma have.

    An instance decompresses one member of a stream. A member is a part that was compressed separately.
    """

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed member has been reached."""

    @property
    def needs_input(self) -> bool:
        """Whether the decompressor can return no more output before it gets further input."""

    @property
    def unused_data(self) -> bytes:
        """The input data that follows the end of the compressed member."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Decompress ``data`` and return at most ``max_length`` bytes; -1 means no limit."""


class _Gzip:
    """A zlib decompressor for gzip that has the same interface as the decompressors of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_FORMATS: Sequence[tuple[Callable[[bytes], bool], Callable[[], Decompressor]]] = (
    (lambda head: head.startswith(b"\x1f\x8b"), _Gzip),
    (lambda head: head.startswith(b"BZh"), bz2.BZ2Decompressor),
    (lambda head: head.startswith(b"\xfd7zXZ\0"), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY_BYTES)),
    (zstd.is_frame, zstd.ZstdDecompressor),
)


class Bounded(io.RawIOBase):
    """A stream that counts the bytes read from its source.

    When more than ``limit`` bytes have been read, raises `InvalidArgument` with the caller's error text ``too_large``.
    """

    def __init__(self, source: BinaryIO | io.RawIOBase, limit: int, too_large: str) -> None:
        self.size = 0
        self._source, self._limit, self._too_large = source, limit, too_large

    def readable(self) -> bool:
        """Return True, because the stream is readable."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read from the source once, put the data into ``buffer``, and return the number of bytes read."""
        data = self._source.read(len(buffer)) or b""
        self.size += len(data)
        if self.size > self._limit:
            raise InvalidArgument(self._too_large)
        buffer[: len(data)] = data
        return len(data)


class Measured(Bounded):
    """A `Bounded` stream that also hashes the data read, with SHA-256."""

    def __init__(self, source: BinaryIO | io.RawIOBase, limit: int, too_large: str) -> None:
        super().__init__(source, limit, too_large)
        self._hash = hashlib.sha256()

    def digest(self) -> str:
        """Return the hexadecimal digest of all data read."""
        return self._hash.hexdigest()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read as `Bounded` does, and hash the data."""
        size = super().readinto(buffer)
        self._hash.update(buffer[:size])
        return size


class _Rejoined(io.RawIOBase):
    """A stream that returns the bytes ``head``, then the data of the stream ``rest``.

    The bytes ``head`` were read from ``rest`` earlier.
    """

    def __init__(self, head: bytes, rest: BinaryIO | io.RawIOBase) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] or self._rest.read(len(buffer)) or b""
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


class _Decompressed(io.RawIOBase):
    """The decompressed content of a compressed stream.

    A compressed stream has one or more members (parts that were compressed separately). Their contents are joined.
    After the last member, only zero bytes may follow.
    """

    def __init__(self, source: BinaryIO | io.RawIOBase, begin: Callable[[], Decompressor]) -> None:
        self._source, self._begin, self._ahead = source, begin, b""
        self._member, self._parts = _attempt(begin), 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        output = b""
        while not output:
            if self._member.eof and not self._next_member():
                return 0
            needed = self._member.needs_input
            data = self._read() if needed else b""
            if needed and not data:
                raise InvalidArgument("unexpected EOF")
            output = _attempt(partial(self._member.decompress, data, len(buffer)))
        buffer[: len(output)] = output
        return len(output)

    def _read(self) -> bytes:
        data, self._ahead = self._ahead or self._source.read(_CHUNK_BYTES) or b"", b""
        return data

    def _next_member(self) -> bool:
        """Begin the next member of the compressed stream; return False if no member is left."""
        data = self._member.unused_data.lstrip(b"\0")
        while len(data) < _HEAD_BYTES and (more := self._read()):
            data = (data + more).lstrip(b"\0")
        if not data:
            return False
        if find_format(data) is not self._begin:
            raise InvalidArgument("data follows the end of the compressed archive")
        self._parts += 1
        if self._parts > _PARTS_LIMIT:
            raise InvalidArgument(f"the archive is compressed in more than {_PARTS_LIMIT} parts")
        self._ahead, self._member = data, _attempt(self._begin)
        return True


def _attempt(step: Callable[[], T]) -> T:
    """Call ``step``, which decompresses some data, and return its result.

    Raises `InvalidArgument` if the compressed data is invalid.
    """
    try:
        return step()
    except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise InvalidArgument(f"cannot decompress the archive: {error}") from error


def find_format(head: bytes) -> Callable[[], Decompressor] | None:
    """Return a function that makes a decompressor for a stream, or None if the stream is not compressed.

    ``head`` is the first bytes of the stream, which identify the format.
    """
    return next((begin for matches, begin in _FORMATS if matches(head)), None)


def decompressed(source: BinaryIO | io.RawIOBase) -> tuple[io.RawIOBase, bool]:
    """Return a stream with the decompressed content of ``source``, and whether ``source`` was compressed."""
    head = b""
    while len(head) < _HEAD_BYTES and (more := source.read(_HEAD_BYTES - len(head))):
        head += more
    whole = _Rejoined(head, source)
    begin = find_format(head)
    return (whole, False) if begin is None else (_Decompressed(whole, begin), True)
