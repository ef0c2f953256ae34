"""The protocol between commands and the supervisor. Each frame has a type, a length and a payload.

A control frame is a JSON object. The other frames are data of one of the container's streams. File descriptors are sent
with the first byte of a control frame.
"""

from __future__ import annotations

import json
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

CONTROL, STDOUT, STDERR, STDIN = range(4)
STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}

_HEADER = struct.Struct("!BI")
_FRAME_LIMIT_BYTES = 16 << 20
_CHUNK = 65536
_MOST_FDS = 4


class Broken(Exception):
    """Raised if the process at the other end does not use this protocol, or closes the connection in the middle of a
    frame.
    """


def frame(kind: int, payload: bytes) -> bytes:
    """Return the bytes of one frame of the protocol; ``kind`` is the frame's type, such as `CONTROL` or `STDOUT`."""
    return _HEADER.pack(kind, len(payload)) + payload


def control(document: dict[str, Any]) -> bytes:
    """Return the bytes of a control frame that holds ``document`` as JSON."""
    return frame(CONTROL, json.dumps(document).encode())


class Decoder:
    """Splits a stream of received bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add received data, and yield (type, payload) of each frame that is now complete.

        Raises `Broken` for a frame over 16 MiB.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer)
            if length > _FRAME_LIMIT_BYTES:
                raise Broken("frame too long")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield kind, payload


def send(connection: socket.socket, document: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send ``document`` as a control frame, together with the file descriptors ``fds``."""
    data = control(document)
    sent = socket.send_fds(connection, [data], list(fds)) if fds else 0
    connection.sendall(data[sent:])


def receive(connection: socket.socket) -> dict[str, Any]:
    """Return the document of the next control frame. Blocks until the frame arrives, and reads no byte after it.

    Raises `Broken` if the connection ends or another kind of frame arrives.
    """
    try:
        kind, length = _HEADER.unpack(exactly(connection, _HEADER.size))
        if kind != CONTROL or length > _FRAME_LIMIT_BYTES:
            raise Broken("unexpected frame")
        document: dict[str, Any] = json.loads(exactly(connection, length))
    except EOFError:
        raise Broken("the supervisor has gone") from None
    return document


def receive_with_fds(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Receive the data that has arrived and the file descriptors that came with it.

    The data is b"" if the connection has ended. The file descriptors have the flag close-on-exec.
    """
    data, ancillary, _, _ = connection.recvmsg(_CHUNK, socket.CMSG_LEN(_MOST_FDS * 4), socket.MSG_CMSG_CLOEXEC)
    return data, [fd for _, _, packed in ancillary for (fd,) in struct.iter_unpack("=i", packed)]


def exactly(connection: socket.socket, length: int) -> bytes:
    """Return the next ``length`` bytes of a connection; raises EOFError if the connection ends earlier. Blocks."""
    data = bytearray()
    while len(data) < length:
        chunk = connection.recv(min(_CHUNK, length - len(data)))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
