"""Copy a container's streams between the supervisor and the file descriptors of the client."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from engine.eventloop.readiness import wait_ready
from engine.runtime import protocol, terminal
from engine.runtime.api import Stdio
from engine.runtime.directory import ContainerDirectory

_CHUNK = 32768


class SupervisedStreams:
    """Implements `engine.runtime.api.ContainerStreams` with a connection to the supervisor; sending never blocks."""

    def __init__(self, connection: socket.socket) -> None:
        self.exit_code: int | None = None
        self.is_open = True
        self._connection, self._decoder, self._unsent = connection, protocol.Decoder(), bytearray()

    def fileno(self) -> int:
        """Return the connection's file descriptor; when it is readable, `receive` does not block."""
        return self._connection.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether some input has not been sent yet. If so, the caller calls `flush` when `fileno` is writable."""
        return bool(self._unsent)

    def receive(self) -> Sequence[tuple[str, bytes]]:
        """Return the output that has arrived, with its stream ("stdout" or "stderr"); blocks until output arrives."""
        try:
            data = self._connection.recv(_CHUNK)
        except ConnectionError:
            data = b""
        self.is_open = bool(data)
        output = []
        for kind, payload in self._decoder.feed(data):
            if kind == protocol.CONTROL:
                self.exit_code = json.loads(payload).get("exit", self.exit_code)
            else:
                output.append((protocol.STREAM_NAMES[kind], payload))
        return output

    def send_input(self, data: bytes) -> bool:
        """Send ``data`` to the container's standard input; return False if the connection has ended."""
        return self._send(protocol.frame(protocol.STDIN, data))

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the container's terminal."""
        self._send(protocol.control({"op": "resize", "rows": rows, "columns": columns}))

    def flush(self) -> bool:
        """Send input that has not been sent yet (`has_unsent`); return False if the connection has ended."""
        return self._send(b"")

    def close(self) -> None:
        """Close the connection without waiting for the container; idempotent."""
        self._connection.close()

    def _send(self, data: bytes) -> bool:
        self._unsent += data
        try:
            del self._unsent[: self._connection.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return True
        except OSError:
            self._unsent.clear()
            return False
        return True


class SupervisedEnd:
    """Waits for a container's end on a connection to the supervisor; implements `engine.runtime.api.EndWatch`."""

    def __init__(self, connection: socket.socket, directory: ContainerDirectory) -> None:
        self._connection, self._directory = connection, directory

    def fileno(self) -> int:
        """Return the file descriptor that is readable when the run has ended or the supervisor was killed."""
        return self._connection.fileno()

    def exit_code(self) -> int | None:
        """Return the exit code of the run that has ended, or None if the supervisor was killed."""
        try:
            code = protocol.receive(self._connection)["exit"]
        except (protocol.Broken, OSError, KeyError):
            return None
        if code is None:
            code = (self._directory.read("exit") or {"code": 0})["code"]
        return int(code)

    def close(self) -> None:
        """Stop waiting; idempotent."""
        self._connection.close()


class SupervisedAttachment:
    """Implements `engine.runtime.api.Attachment`, which describes the methods and attributes."""

    tell: Callable[[str, Mapping[str, str]], None] = staticmethod(lambda *_: None)

    def __init__(self, streams: SupervisedStreams, stdio: Stdio, *, stdin: bool, tty: bool) -> None:
        self.detached = False
        self._streams, self._stdio, self._tty = streams, stdio, tty
        self._stdin_open = stdin
        self._keys = terminal.DetachKeys()

    @property
    def exit_code(self) -> int | None:
        """The container's exit code, or None while it is unknown."""
        return self._streams.exit_code

    def run(self) -> None:
        """Copy the streams until the container's process has ended, its supervisor was killed, or the user detaches."""
        with ExitStack() as stack:
            stack.callback(self.close)
            if self._tty:
                if self._stdin_open:
                    stack.enter_context(terminal.raw(self._stdio.stdin))
                stack.enter_context(terminal.on_resize(self._send_size))
            while self._streams.is_open and not self.detached:
                self._copy_once()
        if self.detached:
            self.tell("detach", {})

    def close(self) -> None:
        """Close the connection to the container's streams without waiting for the container; idempotent."""
        self._streams.close()

    def _copy_once(self) -> None:
        """Copy the available data once in each direction.

        Sending input never blocks. Input that could not be sent is kept. No new input is read until the kept input is
        sent. So output is still copied while the container reads no input.
        """
        sources, unsent = [self._streams.fileno()], self._streams.has_unsent
        if self._stdin_open and not unsent:
            sources.append(self._stdio.stdin)
        readable, writable = wait_ready(sources, sources[:1] if unsent else [])
        if writable:
            self._stdin_open = self._streams.flush() and self._stdin_open
        if self._streams.fileno() in readable:
            self._copy_output()
        if self._stdio.stdin in readable:
            self._copy_input()

    def _copy_output(self) -> None:
        for stream, payload in self._streams.receive():
            terminal.write_all(self._stdio.stdout if stream == "stdout" else self._stdio.stderr, payload)

    def _copy_input(self) -> None:
        try:
            data = os.read(self._stdio.stdin, _CHUNK)
        except OSError:
            data = b""
        self._stdin_open = bool(data)
        if self._tty and data:
            data, self.detached = self._keys.filter(data)
            if not data:
                return
        self._stdin_open = self._streams.send_input(data) and self._stdin_open

    def _send_size(self) -> None:
        rows, columns = terminal.size(self._stdio.stdout)
        if rows or columns:
            self._streams.resize(rows, columns)
            self.tell("resize", {"height": str(rows), "width": str(columns)})
