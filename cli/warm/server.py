"""The main loop of the warm server: accept connections, fork children, and send each command's result to its launcher.

The server has one thread and one event loop. It reads nothing from launchers, because the forked children read the
requests. Therefore no launcher can delay another launcher.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from typing import NoReturn

from cli.launcher.launch import EXITED, KILLED, STOPPED, message
from cli.warm import worker
from cli.warm.socket import WarmSocket
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.runtime import peer
from engine.runtime.prefork import DELAY_SECONDS, IdleChild

POLL_INTERVAL_SECONDS = 30.0
"""Seconds between two checks of whether the server's socket still exists.

Launchers find the server by the socket's path, so a server whose socket was removed must end.
"""
PAUSE_SECONDS = 0.002
"""Seconds from the end of a command until the next idle child is forked.

The command's launcher and child then exit, and the shell continues. A fork at the same time would use a processor for
1.5 ms, and delay the shell.
"""


class WarmServer:
    """Run commands in forked children until the server must end.

    The server ends in these cases:

    - No command has come since the last check, and none is running. There is a check every ``idle`` seconds.
    - One of hawse's source files has changed.
    - The server has received SIGTERM.
    - The socket of the server has been removed.
    """

    def __init__(self, loop: Loop, inotify: Inotify, idle: float) -> None:
        self._loop, self._inotify, self._idle = loop, inotify, idle
        self._warm_socket: WarmSocket
        self._children: dict[int, socket.socket] = {}
        self._identity = peer.identity(os.getpid())
        self._spare = IdleChild(self._be_idle)
        self._served, self._leaving = True, False

    def run(self, warm_socket: WarmSocket) -> None:
        """Accept commands on ``warm_socket``; return when the server must end and all commands have ended."""
        self._warm_socket = warm_socket
        self._loop.watch_signals(self._reap)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.leave())
        self._loop.watch(self._warm_socket.listener.fileno(), lambda _: self._accept())
        self._loop.after(self._idle, self._consider)
        self._loop.after(POLL_INTERVAL_SECONDS, self._look)
        self._prepare()
        self._loop.run()

    def leave(self) -> None:
        """Accept no more commands, and end the event loop when all running commands have ended; idempotent."""
        if not self._leaving:
            self._leaving = True
            self._loop.forget(self._warm_socket.listener.fileno())
            self._warm_socket.leave()
            self._spare.dismiss()
        if not self._children:
            self._loop.stop()

    def _accept(self) -> None:
        self._inotify.read()  # check first whether hawse's files have changed, because this server must then end
        if self._leaving:
            return
        try:
            connection, _ = self._warm_socket.listener.accept()
        except OSError:
            return
        self._served = True
        try:
            pid = self._hand_over(connection)
        except OSError:
            connection.close()  # the launcher notices the closed connection and runs the command in its own process
            return
        self._children[pid] = connection
        self._loop.after(DELAY_SECONDS, self._prepare)
        self._loop.watch(connection.fileno(), lambda events: self._hung_up(pid, events), select.EPOLLRDHUP)

    def _hand_over(self, connection: socket.socket) -> int:
        """Pass a launcher's connection to the idle child, or else to a new child; return the child's process id."""
        pid = self._spare.hand_over(connection.fileno())
        if pid:
            return pid
        pid = os.fork()
        if pid == 0:
            worker.serve(connection, self._identity)
        return pid

    def _prepare(self) -> None:
        """Fork an idle child for the next command, unless an idle child exists or the server is ending."""
        if not self._leaving:
            self._spare.prepare()

    def _be_idle(self, channel: socket.socket) -> NoReturn:
        worker.wait_for_client(channel, self._identity)

    def _hung_up(self, pid: int, events: int) -> None:
        """Kill the child ``pid`` after its launcher has closed the connection, and fork the next idle child.

        ``events`` are the epoll events of the connection. The child is killed because a command must end when its
        launcher ends, as without the warm server. A launcher also closes the connection when it has the result. In this
        case, the child is exiting, and the kill does no harm.
        """
        if pid in self._children and events & (select.EPOLLHUP | select.EPOLLRDHUP):
            self._loop.forget(self._children[pid].fileno())
            os.kill(pid, signal.SIGKILL)
            self._loop.after(PAUSE_SECONDS, self._prepare)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (changed := os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED))[0]:
                self._tell(*changed)
        self._loop.after(PAUSE_SECONDS, self._prepare)
        if self._leaving and not self._children:
            self._loop.stop()

    def _tell(self, pid: int, status: int) -> None:
        self._spare.ended(pid)
        connection = self._children.get(pid)
        if connection is None:
            return
        take_group_along(pid, status)
        if os.WIFCONTINUED(status):
            return
        with suppress(OSError):
            connection.send(outcome(status), socket.MSG_DONTWAIT)
        if not os.WIFSTOPPED(status):
            self._loop.forget(connection.fileno())
            del self._children[pid]
            connection.close()

    def _consider(self) -> None:
        if not self._served and not self._children:
            self.leave()
        self._served = False
        self._loop.after(self._idle, self._consider)

    def _look(self) -> None:
        if not self._warm_socket.is_ours():
            self.leave()
        self._loop.after(POLL_INTERVAL_SECONDS, self._look)


def take_group_along(pid: int, status: int) -> None:
    """Stop or continue the process group of a child that has been stopped or continued.

    ``pid`` is the child's process id, and ``status`` its wait status. Without the warm server, the kernel sends the
    signal of ctrl-Z to all processes of the command. With the warm server, only the child gets the signal, from the
    launcher. Another process of the group, which draws the progress line, must stop too: it must not draw after the
    shell has printed its prompt.
    """
    number = signal.SIGTSTP if os.WIFSTOPPED(status) else signal.SIGCONT if os.WIFCONTINUED(status) else 0
    if number:
        with suppress(OSError):
            os.killpg(pid, number)


def outcome(status: int) -> bytes:
    """Return the message that tells the launcher how a child has ended or that it was stopped.

    ``status`` is the child's wait status, which has the exit code or the signal.
    """
    if os.WIFSTOPPED(status):
        return message(STOPPED, os.WSTOPSIG(status))
    if os.WIFSIGNALED(status):
        return message(KILLED, os.WTERMSIG(status))
    return message(EXITED, os.WEXITSTATUS(status))
