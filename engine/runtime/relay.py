"""Copy between the user's terminal and the terminal of a command in a container, for ``exec -t``."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress

from engine.eventloop.readiness import wait_readable
from engine.model import ExecCreate
from engine.runtime import terminal
from engine.runtime.api import Stdio
from engine.runtime.init import close_all_but, silence

_CHUNK = 32768


def relay(master: int, child: int, stdio: Stdio, request: ExecCreate) -> bool:
    """Copy between the user's terminal and the terminal of a command that runs in a container.

    - ``master``: a file descriptor of the master of the command's terminal; closed in all cases
    - ``child``: the pid of a process that ends when the command ends

    Returns False after the process ``child`` has ended and all output was read. Returns True if the user has detached,
    or if the command was started detached. If the result is True, the command continues and keeps its terminal.
    """
    with ExitStack() as stack:
        stack.callback(os.close, master)
        if request.attach_stdin:
            stack.enter_context(terminal.raw(stdio.stdin))
        left = request.detach
        if not left:
            stack.enter_context(terminal.on_resize(lambda: _pass_size(stdio.stdout, master)))
            ended = os.pidfd_open(child)
            stack.callback(os.close, ended)
            left = _copy(master, ended, stdio, request)
        if left:
            _leave_reader(master, own_session=not request.detach)
    return left


def _copy(master: int, ended: int, stdio: Stdio, request: ExecCreate) -> bool:
    """Copy between both terminals until the command ends or the user detaches; return whether the user detached.

    ``master`` is a file descriptor of the master of the command's terminal. ``ended`` is a pidfd. Its process ends when
    the command ends.
    """
    keys = terminal.DetachKeys() if request.detach_keys else None
    stdin, open_output = request.attach_stdin, True
    while True:
        sources = [ended] + [master] * open_output + [stdio.stdin] * stdin
        ready = wait_readable(sources)
        if master in ready and open_output:
            open_output = _copy_output(master, stdio.stdout)
        elif ended in ready:
            return False
        if stdin and stdio.stdin in ready:
            data, leave = os.read(stdio.stdin, _CHUNK) or terminal.END_OF_INPUT, False
            if keys is not None:
                data, leave = keys.filter(data)
            os.write(master, data)
            stdin = data != terminal.END_OF_INPUT or os.isatty(stdio.stdin)
            if leave:
                return True


def _leave_reader(master: int, *, own_session: bool) -> None:
    """Fork a process that reads the output of the command's terminal until no process has the terminal open.

    Without this reader, the kernel would send SIGHUP to the command when ``master``, the file descriptor of the
    terminal's master, is closed.

    - With ``own_session``: the reader gets a new session, outside the session of the user's terminal.
    - Without ``own_session``: the reader stays in its parent's session. `engine.containers.detached_exec` can then tell
      the reader from a detached command, which has a session of its own.
    """
    if os.fork():
        return
    with suppress(OSError):
        if own_session:
            os.setsid()
        close_all_but([master])
        silence()
        while os.read(master, _CHUNK):
            continue
    os._exit(0)


def _copy_output(master: int, stdout: int) -> bool:
    """Copy the available output of a terminal to ``stdout``; return False if no process has the terminal open.

    Both arguments are file descriptors; ``master`` refers to the terminal's master.
    """
    try:
        data = os.read(master, _CHUNK)
    except OSError:
        return False
    terminal.write_all(stdout, data)
    return True


def _pass_size(source: int, target: int) -> None:
    rows, columns = terminal.size(source)
    if rows or columns:
        terminal.set_size(target, rows, columns)
