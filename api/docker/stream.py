"""Answers without a known length: chunked streams, and connections that a handler takes over (hijacks).

Docker sends a container's stdout and stderr over one hijacked connection, in frames (stdcopy).
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from api.docker.errors import ClientGone
from api.docker.versions import Version

HUNG_UP = select.POLLHUP | select.POLLRDHUP | select.POLLERR
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
_FRAME_HEADER = struct.Struct(">BxxxL")
_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
_NAMED_SINCE: Version = (1, 42)
"""The first API version in which the media type of an answer says whether the stream has frames."""


class Stream(Protocol):
    """A connected socket, or an object with the same methods."""

    def recv(self, size: int, /) -> bytes:
        """Wait for data and return at most ``size`` bytes, or b"" after the end of the input."""

    def sendall(self, data: bytes, /) -> None:
        """Send all data."""

    def shutdown(self, how: int, /) -> None:
        """Shut down one direction of the connection: ``how`` is a constant of socket.shutdown, such as ``SHUT_WR``."""


class ChunkedStream:
    """The body of a chunked answer; the head has been sent. The end of the ``with`` block ends the answer.

    After an error in the block, the last chunk is not sent, so that the client sees an incomplete answer. ``send``
    writes one piece as a chunk; ``finish`` writes the last chunk.
    """

    def __init__(self, connection: socket.socket, send: Callable[[bytes], None], finish: Callable[[], None]) -> None:
        self._connection, self._send, self._finish = connection, send, finish

    def __enter__(self) -> ChunkedStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self._finish()

    def write(self, data: bytes) -> None:
        """Send the data now as one chunk; blocks while the client does not read; raises ClientGone."""
        if data:
            self._send(data)

    def wait(self, seconds: float | None, *descriptors: int) -> Sequence[int]:
        """Wait until a file descriptor is readable, at most for ``seconds``; return the readable descriptors.

        If ``seconds`` is None, there is no time limit. Without ``descriptors``, only waits for this time. Raises
        ClientGone as soon as the client closes its connection.
        """
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLRDHUP)
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        ready = dict(poll.poll(None if seconds is None else max(0, int(seconds * 1000))))
        if ready.pop(self._connection.fileno(), 0) & HUNG_UP:
            raise ClientGone
        return list(ready)


class Hijacked:
    """A connection that no longer speaks HTTP.

    ``socket`` is a plain socket, also for a TLS client. ``received`` holds the bytes that the client has already sent
    after its request. `close` calls the function ``finish`` after it has closed the socket.
    """

    def __init__(self, connection: socket.socket, received: bytes, finish: Callable[[], None]) -> None:
        self.socket, self.received, self._finish = connection, received, finish

    def __enter__(self) -> Hijacked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; idempotent.

        For a TLS client or a WebSocket, blocks until all output has been sent or the client has gone.
        """
        self.socket.close()
        self._finish()


def framed(stream: str, data: bytes) -> bytes:
    """Return data of a stream ("stdout" or "stderr") as one frame of Docker's stdcopy format."""
    return _FRAME_HEADER.pack(_NUMBERS[stream], len(data)) + data


def media_type(version: Version, *, tty: bool) -> str:
    """Return the media type of a container's output for an API version.

    - `MULTIPLEXED_STREAM`: from version 1.42, for output in frames (a container without a terminal)
    - `RAW_STREAM`: in all other cases; before version 1.42, output in frames has this type too
    """
    return MULTIPLEXED_STREAM if not tty and version >= _NAMED_SINCE else RAW_STREAM
