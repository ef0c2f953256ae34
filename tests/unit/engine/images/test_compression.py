"""Decompression of streams stays within its limits, even if the data is split into any number of blocks."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import subprocess

import pytest

from engine.errors import InvalidArgument
from engine.images import compression
from engine.images.compression import Measured, decompressed

DATA = random.Random(1).randbytes(300_000) + bytes(700_000) + b"end"
SKIPPED = b"\x5a\x2a\x4d\x18\x04\0\0\0skip"  # a frame that zstd readers skip, as in zstd:chunked


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


STREAMS = {
    "none": DATA,
    "short": b"x",
    "gzip": gzip.compress(DATA),
    "gzip members": gzip.compress(DATA[:9]) + gzip.compress(DATA[9:]) + bytes(100_000),
    "bzip2": bz2.compress(DATA),
    "bzip2 streams": bz2.compress(DATA[:9]) + bz2.compress(DATA[9:]),
    "xz": lzma.compress(DATA),
    "zstd": zstd(DATA),
    "zstd frames": SKIPPED + zstd(DATA[:9]) + SKIPPED + zstd(DATA[9:]) + SKIPPED,
}


class Trickle(io.RawIOBase):
    """A double of a pipe, which returns only a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._rest.readinto(memoryview(buffer)[:997])


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("source", [io.BytesIO, Trickle])
def test_each_kind_of_stream_gives_its_content_and_digest(kind, source):
    expected = b"x" if kind == "short" else DATA
    stream, compressed = decompressed(source(STREAMS[kind]))
    measured = Measured(stream, len(expected), "too large")
    assert io.BufferedReader(measured, 10_000).read() == expected
    assert measured.digest() == hashlib.sha256(expected).hexdigest()
    assert compressed == (kind not in ("none", "short"))


@pytest.mark.parametrize("kind", [kind for kind in STREAMS if kind not in ("none", "short")])
def test_reading_ends_with_an_error_at_the_size_limit(kind):
    measured = Measured(decompressed(io.BytesIO(STREAMS[kind]))[0], 500_000, "too large")
    with pytest.raises(InvalidArgument, match="too large"):
        while measured.read(100_000):
            pass
    assert measured.size <= 600_000


def test_the_number_of_compressed_parts_is_limited(monkeypatch):
    monkeypatch.setattr(compression, "_PARTS_LIMIT", 100)
    with pytest.raises(InvalidArgument, match="in more than 100 parts"):
        decompressed(io.BytesIO(gzip.compress(b"") * 101))[0].read()


def test_zstd_without_its_library_is_refused(monkeypatch):
    monkeypatch.setattr("engine.images.zstd.load", lambda: None)
    with pytest.raises(InvalidArgument, match=r"zstd needs the library libzstd\.so\.1"):
        decompressed(io.BytesIO(STREAMS["zstd"]))
