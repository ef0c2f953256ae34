"""Decompress zstd with the system's libzstd, because Python has no zstd module before 3.14."""

from __future__ import annotations

import ctypes
from functools import cache

_MAGIC, _SKIPPABLE = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"  # start of a zstd frame; bytes 2 to 4 of a skippable frame
_WINDOW_LOG_MAX, _LARGEST_WINDOW = 100, 27  # parameter ZSTD_d_windowLogMax and its value: 2**27 bytes, as in zstd(1)


class _Buffer(ctypes.Structure):
    """The C structure of ZSTD_inBuffer and ZSTD_outBuffer, which have the same fields."""

    _fields_ = [("address", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t)]


def is_frame(head: bytes) -> bool:
    """Return whether a stream is compressed with zstd; ``head`` is the first bytes of the stream.

    A stream that begins with a skippable frame counts as compressed too. Such a frame has no content to decompress.
    """
    return head.startswith(_MAGIC) or (head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50)


@cache
def load() -> ctypes.CDLL | None:
    """Load libzstd, or return None if libzstd is not installed.

    The caller must load libzstd before it changes its root directory, because the library cannot be found afterwards.
    """
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        return None
    library.ZSTD_createDCtx.restype = ctypes.c_void_p
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    for name in ("ZSTD_decompressStream", "ZSTD_DCtx_setParameter"):
        getattr(library, name).restype = ctypes.c_size_t
    library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    library.ZSTD_freeDCtx.argtypes = [ctypes.c_void_p]
    library.ZSTD_DCtx_setParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    return library


class ZstdDecompressor:
    """Decompresses one zstd frame, with the interface of the bz2 and lzma decompressors.

    Raises ValueError if the compressed data is invalid.
    """

    def __init__(self) -> None:
        library = load()
        if library is None:
            raise ValueError("zstd needs the library libzstd.so.1 (Debian: libzstd1)")
        self._library = library
        self._context = library.ZSTD_createDCtx()
        if not self._context:
            raise MemoryError
        library.ZSTD_DCtx_setParameter(self._context, _WINDOW_LOG_MAX, _LARGEST_WINDOW)
        self._input, self._position = ctypes.create_string_buffer(0), 0
        self._output = ctypes.create_string_buffer(0)
        self.eof, self.needs_input, self.unused_data = False, True, b""

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._library.ZSTD_freeDCtx(self._context)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Decompress ``data`` and return at most ``max_length`` bytes; ``max_length`` must not be negative."""
        if data:
            rest = self._input.raw[self._position :] + data
            self._input, self._position = ctypes.create_string_buffer(rest, len(rest)), 0
        if len(self._output) != max_length:
            self._output = ctypes.create_string_buffer(max_length)
        written = _Buffer(ctypes.addressof(self._output), max_length, 0)
        read = _Buffer(ctypes.addressof(self._input), len(self._input), self._position)
        left = self._library.ZSTD_decompressStream(self._context, ctypes.byref(written), ctypes.byref(read))
        if self._library.ZSTD_isError(left):
            raise ValueError(self._library.ZSTD_getErrorName(left).decode())
        self._position = read.position
        self.eof = left == 0
        self.needs_input = not self.eof and self._position == len(self._input) and written.position < max_length
        if self.eof:
            self.unused_data = self._input.raw[self._position :]
        return ctypes.string_at(self._output, written.position)
