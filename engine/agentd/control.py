"""The agent's socket (HAWSE_RUN/agent.sock): one request line, one answer line, then the agent closes the connection.

- ``changed`` makes the services read the local store again. The agent answers ``ok`` when the services that commands
  need (cluster, DNS, ports) are up to date. From then on, the DNS server knows the command's new names. The agent
  answers ``failed`` if one of these services failed, or if the store could not be read. The agent reads the local store
  once for all requests that arrive together.
- If the connection closes without an answer to ``changed``, this agent is ending. The command must then start or ask
  another agent.
- ``status`` is answered by one line of JSON.
- ``guard`` comes from the guard (`engine.runtime.guard`). The connection stays open, and the agent answers each further
  line.

The agent answers ``refused`` to a process with fewer rights than the agent (`engine.runtime.peer`). A process of
another user gets no answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

from engine.errors import Outdated
from engine.eventloop.loop import Loop, Timer
from engine.runtime import peer
from engine.runtime.guarded import Guarded

LINE = 256  # bytes; a request is a single line
DEADLINE_SECONDS = 5.0
"""Seconds that a connection may be silent before the agent closes it."""
ACCEPT_PAUSE_SECONDS = 0.5
"""Seconds for which the agent accepts no connections after its file descriptors ran out."""


class Control:
    """The server of the agent's socket.

    - ``changed`` updates the services.
    - ``status`` returns the agent's status line.
    - ``guarded`` is notified when the guard (`engine.runtime.guard`) connects or ends.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        changed: Callable[[], bool],
        status: Callable[[], str],
        guarded: Guarded | None = None,
    ) -> None:
        self._loop, self._listener, self._changed, self._status = loop, listener, changed, status
        self._rights = peer.own_rights(any_network=True)
        self._open: dict[socket.socket, Timer] = {}
        self._waiting: list[socket.socket] = []
        self._guarded, self._guards = guarded, set[socket.socket]()
        listener.setblocking(False)
        loop.watch(listener.fileno(), lambda _: self._accept())

    def move(self, listener: socket.socket) -> None:
        """Listen on the socket ``listener``, because the file of the old socket was deleted."""
        self._loop.close_socket(self._listener)
        self._listener = listener
        self._loop.watch(listener.fileno(), lambda _: self._accept())

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._loop.rest(self._listener.fileno(), ACCEPT_PAUSE_SECONDS)
            return
        connection.setblocking(False)
        objection = peer.objection(connection, self._rights)
        if objection:
            _send(connection, "" if objection == peer.OTHER_USER else "refused")
            return
        self._open[connection] = self._loop.after(DEADLINE_SECONDS, lambda: self._close(connection))
        self._loop.watch(connection.fileno(), lambda _: self._read(connection))

    def _read(self, connection: socket.socket) -> None:
        try:
            line = connection.recv(LINE).strip()
        except BlockingIOError:
            return
        except OSError:
            line = b""
        if connection not in self._open:
            return
        if line == b"changed":
            self._loop.forget(connection.fileno())
            if not self._waiting:
                self._loop.after(0, self._reconcile)  # read the local store once for all requests that arrived together
            self._waiting.append(connection)
        elif line == b"guard" and self._guarded is not None:
            self._open.pop(connection).cancel()
            self._guards.add(connection)
            self._guarded.joined(peer.credentials(connection)[0])
            self._loop.watch(connection.fileno(), lambda _: self._answer_guard(connection))
            self._answer(connection)
        else:
            self._close(connection, self._status() if line == b"status" else "")

    def _answer_guard(self, connection: socket.socket) -> None:
        """Answer a line of the guard; if its connection has ended, call ``guarded.left`` with the guard's pid."""
        try:
            data = connection.recv(LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._answer(connection)
            return
        guard = peer.credentials(connection)[0]
        self._guards.remove(connection)
        self._loop.close_socket(connection)
        if self._guarded is not None:
            self._guarded.left(guard)

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with suppress(OSError):  # ignore the error: `_answer_guard` notices the guard's end when it reads
            connection.send(b"ok\n")

    def _reconcile(self) -> None:
        waiting, self._waiting = self._waiting, []
        answer = "failed"
        try:
            answer = "ok" if self._changed() else "failed"
        except Outdated:
            answer = ""
        finally:
            for connection in waiting:
                self._close(connection, answer)

    def _close(self, connection: socket.socket, text: str = "") -> None:
        timer = self._open.pop(connection, None)
        if timer is None:
            return
        timer.cancel()
        self._loop.forget(connection.fileno())
        _send(connection, text)

    @property
    def busy(self) -> bool:
        """Whether a client is connected to the agent's socket or waits to be accepted."""
        self._accept()
        return bool(self._open)

    def close(self) -> None:
        """Close the listener and all connections."""
        self._loop.close_socket(self._listener)
        for connection in list(self._open):
            self._close(connection)
        if self._guarded is not None:
            self._guarded.close()
        for connection in self._guards:
            self._loop.close_socket(connection)
        self._guards.clear()


def _send(connection: socket.socket, text: str) -> None:
    """Send ``text`` as a line and close the connection; if ``text`` is empty, only close the connection."""
    with connection, suppress(OSError):
        if text:
            connection.send(text.encode() + b"\n")
