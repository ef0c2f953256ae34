"""Start a command of ``exec -t`` as the child of a keeper, a process that waits for the end of the command.

The user may leave the command with the detach keys. The caller then ends, but only a parent gets the exit code of a
command. Therefore the keeper is the command's parent, and reports the end of the command.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import NoReturn

from drivers.linux import recording
from engine.runtime import cgroup, process
from engine.runtime.init import close_all_but, silence


def fork(become: Callable[[], NoReturn], ended: Callable[[int], object] | None, stack: ExitStack) -> int:
    """Start a command in a new process; return the pid of a child process that ends with the command's exit code.

    - ``become``: turns the new process into the command.
    - ``ended``: None if the child process is the command itself. Otherwise, the child process is a keeper, which waits
      for the command. If the caller has left the command, the keeper calls ``ended`` with the exit code.
    - ``stack``: an exit stack of the caller. The caller leaves the command when it closes the stack, or when the caller
      ends.
    """
    if ended is None:
        child = os.fork()
        if child == 0:
            become()
        return child
    caller, held = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        _keep(become, ended, caller)
    os.close(caller)
    stack.callback(os.close, held)
    return keeper


def detach(kept: list[int]) -> None:
    """Make this process independent of its caller: of its terminal, output, cgroup and file descriptors.

    The file descriptors ``kept`` stay open.
    """
    os.setsid()
    recording.stop()
    silence()
    close_all_but(kept)
    cgroup.leave()


def _keep(become: Callable[[], NoReturn], ended: Callable[[int], object], caller: int) -> NoReturn:
    """Start the command with ``become``, wait for its end, and exit with its exit code.

    The caller may leave the command, which means that it no longer waits for the command's end. ``ended`` is then
    called with the exit code. ``caller`` is the read end of a pipe. The caller closes the other end of the pipe when it
    leaves the command or ends.
    """
    code = 1
    try:
        command = os.fork()
        if command == 0:
            become()
        detach([caller])
        code = process.exit_code(os.waitpid(command, 0)[1])
        os.set_blocking(caller, False)
        # BlockingIOError means that the caller still waits for this process. The caller then gets this process's exit
        # code, so ``ended`` is not called.
        with suppress(BlockingIOError):
            os.read(caller, 1)
            ended(code)
    finally:
        os._exit(code)
