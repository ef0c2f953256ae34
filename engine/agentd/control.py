"""The agent's socket (HAWSE_RUN/agent.sock): one line asks, one line answers, then the connection is closed.

``changed`` makes the services read the store again and is answered ``ok`` when they have, so that a command can wait
until its names are live; requests that arrive together share one reading. No answer: another agent is to be asked.
``status`` is answered by a line of JSON.
A process without the agent's rights (`engine.runtime.peer`) is answered ``refused``; one of another user gets no answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

from engine.errors import Outdated
from engine.eventloop.loop import Loop, Timer
from engine.runtime import peer

LINE = 256
DEADLINE = 5.0
"""Seconds a connection may stay silent."""
PAUSE = 0.5
"""Seconds to stop accepting when descriptors have run out."""


class Control:
    """Listens; calls ``changed`` for what the lines ask and ``status`` for a report."""

    def __init__(
        self, loop: Loop, listener: socket.socket, changed: Callable[[], bool], status: Callable[[], str]
    ) -> None:
        self._loop, self._listener, self._changed, self._status = loop, listener, changed, status
        self._rights = peer.own_rights(any_network=True)
        self._open: dict[socket.socket, Timer] = {}
        self._waiting: list[socket.socket] = []
        listener.setblocking(False)
        loop.watch(listener.fileno(), lambda _: self._accept())

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._loop.rest(self._listener.fileno(), PAUSE)
            return
        connection.setblocking(False)
        objection = peer.objection(connection, self._rights)
        if objection:
            _send(connection, "" if objection == peer.OTHER_USER else "refused")
            return
        self._open[connection] = self._loop.after(DEADLINE, lambda: self._close(connection))
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
                self._loop.after(0, self._reconcile)  # after this round, with all who asked in it
            self._waiting.append(connection)
        else:
            self._close(connection, self._status() if line == b"status" else "")

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
        """Whether somebody is connected or waits to be accepted."""
        self._accept()
        return bool(self._open)

    def close(self) -> None:
        """Close everything."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for connection in list(self._open):
            self._close(connection)


def _send(connection: socket.socket, text: str) -> None:
    """Send a line, unless there is none, and close the connection."""
    with connection, suppress(OSError):
        if text:
            connection.send(text.encode() + b"\n")
