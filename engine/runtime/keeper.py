"""Fork a command of ``exec -t`` below a keeper: a process that waits for the command's end.

The user may leave the command with the detach keys, which ends the caller. Because only a parent gets the exit code of
a command, the keeper then reports the end.
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
    """Run ``become`` in a child process, and return the pid of a child that ends with the command's exit code.

    With ``ended``, this child is a keeper. If the exit stack ``stack`` has been closed before the command ends, the
    keeper calls ``ended`` with the exit code. Without ``ended``, this child is the command.
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
    """Make this process independent of its caller's terminal, output, cgroup and descriptors, except ``kept``."""
    os.setsid()
    recording.stop()
    silence()
    close_all_but(kept)
    cgroup.leave()


def _keep(become: Callable[[], NoReturn], ended: Callable[[int], object], caller: int) -> NoReturn:
    """Start the command and wait for its end; call ``ended`` with its exit code if the caller has left the command.

    ``caller`` is the read end of a pipe. The caller closes the other end when it leaves the command or ends.
    """
    code = 1
    try:
        command = os.fork()
        if command == 0:
            become()
        detach([caller])
        code = process.exit_code(os.waitpid(command, 0)[1])
        os.set_blocking(caller, False)
        with suppress(BlockingIOError):  # the caller is still there, and waits for the end of this process
            os.read(caller, 1)
            ended(code)
    finally:
        os._exit(code)
