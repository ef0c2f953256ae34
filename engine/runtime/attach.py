"""Copy a container's streams between the supervisor and the file descriptors of the client."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from engine.runtime import protocol, terminal
from engine.runtime.api import Stdio

_CHUNK = 32768


class SupervisedAttachment:
    """Implements `engine.runtime.api.Attachment`.

    ``exit_code`` is the container's exit code if the container ended during `run`. ``detached`` is True if the user
    typed ctrl-p ctrl-q. The function ``tell`` is called with "resize" and the new size, and with "detach".
    """

    tell: Callable[[str, Mapping[str, str]], None] = staticmethod(lambda *_: None)

    def __init__(self, connection: socket.socket, stdio: Stdio, *, stdin: bool, tty: bool) -> None:
        self.exit_code: int | None = None
        self.detached = False
        self._connection, self._stdio, self._tty = connection, stdio, tty
        self._stdin_open, self._server_open = stdin, True
        self._decoder, self._keys = protocol.Decoder(), terminal.DetachKeys()
        self._unsent = bytearray()

    def run(self) -> None:
        """Copy the streams until the container's process has ended, its supervisor was killed, or the user detaches."""
        with ExitStack() as stack:
            stack.callback(self.close)
            if self._tty:
                if self._stdin_open:
                    stack.enter_context(terminal.raw(self._stdio.stdin))
                stack.enter_context(terminal.on_resize(self._send_size))
            while self._server_open and not self.detached:
                self._copy_once()
        if self.detached:
            self.tell("detach", {})

    def close(self) -> None:
        """Close the connection to the container's streams without waiting for the container; idempotent."""
        self._connection.close()

    def _copy_once(self) -> None:
        """Copy the available data once in each direction.

        New input is read only after all earlier input was sent. Therefore no direction blocks the other direction.
        """
        sources = [self._connection.fileno()]
        if self._stdin_open and not self._unsent:
            sources.append(self._stdio.stdin)
        readable, writable, _ = select.select(sources, sources[:1] if self._unsent else [], [])
        if writable:
            self._send(b"")
        if self._connection.fileno() in readable:
            self._copy_output()
        if self._stdio.stdin in readable:
            self._copy_input()

    def _copy_output(self) -> None:
        try:
            data = self._connection.recv(_CHUNK)
        except ConnectionError:
            data = b""
        self._server_open = bool(data)
        for kind, payload in self._decoder.feed(data):
            if kind == protocol.CONTROL:
                self.exit_code = json.loads(payload).get("exit", self.exit_code)
            else:
                _write(self._stdio.stdout if kind == protocol.STDOUT else self._stdio.stderr, payload)

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
        self._send(protocol.frame(protocol.STDIN, data))

    def _send_size(self) -> None:
        rows, columns = terminal.size(self._stdio.stdout)
        if rows or columns:
            self._send(protocol.control({"op": "resize", "rows": rows, "columns": columns}))
            self.tell("resize", {"height": str(rows), "width": str(columns)})

    def _send(self, data: bytes) -> None:
        self._unsent += data
        try:
            del self._unsent[: self._connection.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
            self._stdin_open = False


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
