"""Run a command of ``exec --detach`` in a background process that waits for the command's end.

The background process is the command's parent, because only a parent gets the exit code. It ends after the command.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from engine.host import engine_error
from engine.runtime import keeper, process, syscalls
from engine.runtime.api import RuntimeFailure
from engine.runtime.errors import EXEC, OTHER

_STARTED = "started"
"""The report of a start without an error. A process that is killed during the start reports nothing."""


def run(start: Callable[[], object], ended: Callable[[int], object]) -> None:
    """Start a command by calling ``start``; after the command's end, call ``ended`` with its exit code.

    ``start`` must not wait for the command. A new process calls both functions. This call blocks until the command is
    started. Raises RuntimeFailure if ``start`` fails.
    """
    report, outcome = os.pipe()
    child = os.fork()
    if child == 0:
        _wait(start, ended, outcome)
    os.close(outcome)
    with open(report, encoding="utf-8") as file:
        text = file.read()
    if text != _STARTED:
        os.waitpid(child, 0)
        failure = json.loads(text) if text else (OTHER, f"{EXEC}the process that starts the command was killed")
        raise RuntimeFailure(*failure)


def _wait(start: Callable[[], object], ended: Callable[[int], object], outcome: int) -> NoReturn:
    """Start the command, wait for its end, call ``ended`` with its exit code, and exit this process.

    `_STARTED`, or the error of a failed start as JSON, is written to the file descriptor ``outcome``.
    """
    try:
        keeper.detach([outcome])
        syscalls.adopt_orphans()
        start()
        command = _command()
        with suppress(BrokenPipeError):  # the caller was killed
            os.write(outcome, _STARTED.encode())
        os.close(outcome)
        ended(process.exit_code(os.waitpid(command, 0)[1]))
    except RuntimeFailure as error:
        os.write(outcome, json.dumps([error.kind, str(error)]).encode())
    except OSError as error:
        os.write(outcome, json.dumps([OTHER, str(engine_error(error))]).encode())
    finally:
        os._exit(0)


def _command() -> int:
    """Return the pid of the command: the child of this process that has a session of its own.

    This process may have a second child, which reads the command's terminal. The second child is a fork of this
    process, and is in the session of this process.
    """
    children = Path("/proc/thread-self/children").read_text(encoding="ascii").split()
    own = os.getsid(0)
    return next(pid for pid in map(int, children) if os.getsid(pid) != own)
