"""Copies between the user's terminal and one made in a container, for ``exec -t``."""

from __future__ import annotations

import os
import select
from contextlib import ExitStack

from engine.runtime import terminal
from engine.runtime.api import Stdio

_CHUNK = 32768


def relay(master: int, child: int, stdio: Stdio, *, stdin: bool, detached: bool) -> None:
    """Copy until ``child`` has ended, its output taken to the last byte; closes ``master``.

    When detached, nobody reads the terminal: it is hung up, as the command was told not to have one.
    """
    with ExitStack() as stack:
        stack.callback(os.close, master)
        if detached:
            return
        if stdin:
            stack.enter_context(terminal.raw(stdio.stdin))
        stack.enter_context(terminal.on_resize(lambda: _pass_size(stdio.stdout, master)))
        ended = os.pidfd_open(child)
        stack.callback(os.close, ended)
        _copy(master, ended, stdio, stdin=stdin)


def _copy(master: int, ended: int, stdio: Stdio, *, stdin: bool) -> None:
    keys, open_output = terminal.DetachKeys(), True
    while True:
        sources = [ended] + [master] * open_output + [stdio.stdin] * stdin
        ready, _, _ = select.select(sources, [], [])
        if master in ready and open_output:
            open_output = _copy_output(master, stdio.stdout)
        elif ended in ready:
            return
        if stdin and stdio.stdin in ready:
            data, leave = keys.filter(os.read(stdio.stdin, _CHUNK) or terminal.END_OF_INPUT)
            os.write(master, data)
            stdin = data != terminal.END_OF_INPUT or os.isatty(stdio.stdin)
            if leave:
                return


def _copy_output(master: int, stdout: int) -> bool:
    """Copy what is there; False when the terminal has no user any more."""
    try:
        data = os.read(master, _CHUNK)
    except OSError:
        return False
    while data:
        data = data[os.write(stdout, data) :]
    return True


def _pass_size(source: int, target: int) -> None:
    rows, columns = terminal.size(source)
    if rows or columns:
        terminal.set_size(target, rows, columns)
