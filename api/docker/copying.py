"""Copy between a client's connection and the streams of a container or of a command in a container.

One thread copies in both directions. A write of input does not block. If a command does not read its input, the thread
therefore continues to copy the command's output. The thread reads new input only after all earlier input has been
written.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from api.docker.stream import Hijacked, framed
from engine.runtime.api import ContainerStreams
from engine.runtime.terminal import DetachKeys

CHUNK_BYTES = 32 << 10
_GONE = select.POLLHUP | select.POLLERR


class Sink(Protocol):
    """A receiver of the client's input. While `has_unsent` is True, the caller must send no more input."""

    @property
    def has_unsent(self) -> bool:
        """Whether accepted input has not been written yet."""

    def send_input(self, data: bytes) -> bool:
        """Accept input; b"" ends the input. Return False if no process reads the input any more."""


class Client:
    """The client's side of a hijacked connection, which no longer speaks HTTP.

    - ``sink`` receives the client's input. If it is None, the input is discarded.
    - ``keys`` are the detach keys. If the client types them, `detached` becomes True. None means that no keys detach.
    - With ``tty``, output is sent unchanged. Without ``tty``, it is sent in frames, which name the stream (stdcopy).
    - With ``stays``, the end of the client's input is passed to the sink, and the output continues. Without ``stays``,
      the end of the input sets `detached`, as in Docker for a terminal. ``stays`` has no effect if ``sink`` is None.
    """

    def __init__(
        self, connection: Hijacked, sink: Sink | None, keys: DetachKeys | None, *, tty: bool, stays: bool
    ) -> None:
        self._connection, self._sink, self._keys, self._tty = connection, sink, keys, tty
        self._reading, self.is_there, self.detached = True, True, False
        self._stays = stays or sink is None

    def take_early_input(self) -> None:
        """Pass to the sink the input that the client sent together with its request."""
        if self._connection.received:
            self._pass_on(self._connection.received)

    def register(self, poll: select.poll) -> None:
        """Register the connection with ``poll``; its input is polled only while the sink accepts more input."""
        if self.is_there:
            waiting = self._reading and not (self._sink is not None and self._sink.has_unsent)
            poll.register(self._connection.socket.fileno(), select.POLLIN if waiting else 0)

    def handle(self, ready: dict[int, int]) -> None:
        """Read the available input, or close the connection if the client has gone.

        ``ready`` maps each ready file descriptor to its events, as poll(2) reports them.
        """
        events = ready.get(self._connection.socket.fileno(), 0) if self.is_there else 0
        if events & select.POLLIN and self._reading:
            try:
                data = self._connection.socket.recv(CHUNK_BYTES)
            except OSError:
                data = b""
            self._reading = bool(data)
            self._pass_on(data)
        elif events & _GONE:
            self.leave()

    def write(self, stream: str, data: bytes) -> None:
        """Send output; blocks while the client does not read, and does nothing after the client has gone.

        ``stream`` is "stdout" or "stderr".
        """
        if self.is_there and data:
            try:
                self._connection.socket.sendall(data if self._tty else framed(stream, data))
            except OSError:
                self.leave()

    def leave(self) -> None:
        """End the client's input, and close the connection."""
        if self._reading:
            self._reading = False
            self._pass_on(b"")
        self.is_there = False
        with suppress(OSError):  # the client has closed the connection
            # close() alone would not end the connection, because `Exchange` still has a duplicate of the socket.
            self._connection.socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _pass_on(self, data: bytes) -> None:
        if self._keys is not None and data:
            data, self.detached = self._keys.filter(data)
            if not data:
                return
        if not (data or self._stays):
            self.detached = True
            return
        if self._sink is not None and not self._sink.send_input(data):
            self._sink = None


def attach(client: Client, streams: ContainerStreams, requested: Iterable[str]) -> None:
    """Copy between a client and a container until the container ends, or the client disconnects or detaches.

    The client gets only the output streams that ``requested`` names ("stdout", "stderr").
    """
    kinds = frozenset(requested)
    client.take_early_input()
    while streams.is_open and client.is_there and not client.detached:
        poll = select.poll()
        poll.register(streams.fileno(), select.POLLIN | (select.POLLOUT if streams.has_unsent else 0))
        client.register(poll)
        ready = dict(poll.poll())
        events = ready.get(streams.fileno(), 0)
        if events & select.POLLOUT:
            streams.flush()
        if events & ~select.POLLOUT:
            for stream, data in streams.receive():
                if stream in kinds:
                    client.write(stream, data)
        client.handle(ready)


class InputPipe:
    """A `Sink` that writes the input to ``descriptor``, the file descriptor of a pipe or a terminal.

    It closes the descriptor after the end of the input.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._unsent, self._ended = descriptor, bytearray(), False
        os.set_blocking(descriptor, False)

    @property
    def has_unsent(self) -> bool:
        """Whether accepted input waits until the pipe is writable."""
        return bool(self._unsent)

    def register(self, poll: select.poll) -> None:
        """If accepted input is still unwritten, register the pipe with ``poll``, to learn when the pipe is writable."""
        if self._unsent:
            poll.register(self._descriptor, select.POLLOUT)

    def send_input(self, data: bytes) -> bool:
        """Write what the pipe accepts now, and keep the rest. Return False if no process reads the input any more.

        ``data`` is input; b"" ends the input.
        """
        if self._descriptor < 0:
            return False
        self._ended = self._ended or not data
        self._unsent += data
        return self.flush()

    def flush(self) -> bool:
        """Write as much of the unsent input as the pipe accepts; return False if no process reads the pipe any more."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self._descriptor, self._unsent[:CHUNK_BYTES])]
        except BlockingIOError:
            return True
        except OSError:
            self._unsent.clear()
            self.close()
            return False
        if self._ended:
            self.close()
        return True

    def close(self) -> None:
        """Close the pipe or terminal; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Relay:
    """Copies between a client and the pipes or the terminal of a command.

    - ``source``: receives the client's input; None if the command has no input
    - ``outputs``: pairs of a file descriptor with output of the command and the stream's name, "stdout" or "stderr"
    - ``finished``: a file descriptor that is readable when the command has ended
    """

    def __init__(
        self, client: Client, source: InputPipe | None, outputs: Sequence[tuple[int, str]], finished: int
    ) -> None:
        self._client, self._source, self._finished = client, source, finished
        self._outputs = dict(outputs)
        for descriptor in self._outputs:
            os.set_blocking(descriptor, False)

    def run(self) -> None:
        """Copy until the command has ended, even if the client closes the connection or detaches before."""
        self._client.take_early_input()
        while not self._copy_once():
            if self._client.detached:
                self._client.leave()

    def _copy_once(self) -> bool:
        """Wait for input or output, and copy what is available; return whether the command has ended."""
        poll = select.poll()
        for descriptor in (*self._outputs, self._finished):
            poll.register(descriptor, select.POLLIN)
        if self._source is not None:
            self._source.register(poll)
        self._client.register(poll)
        ready = dict(poll.poll())
        for descriptor in [descriptor for descriptor in self._outputs if descriptor in ready]:
            if not self._copy(descriptor):
                del self._outputs[descriptor]
        if self._source is not None:
            self._source.flush()
        self._client.handle(ready)
        if self._finished not in ready:
            return False
        for descriptor in self._outputs:
            while self._copy(descriptor):
                pass
        return True

    def _copy(self, descriptor: int) -> bool:
        """Copy the available output of a pipe or terminal to the client; return False if no output is available.

        ``descriptor`` is the file descriptor of the pipe or terminal.
        """
        data = b""
        with suppress(OSError):
            data = os.read(descriptor, CHUNK_BYTES)
        self._client.write(self._outputs[descriptor], data)
        return bool(data)
