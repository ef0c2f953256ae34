"""Connect to the supervisor of a HAWSE_RUN, and start a supervisor if none runs."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from engine.paths import make_private_directory
from engine.runtime import peer, resident
from engine.runtime.api import RuntimeFailure
from engine.runtime.errors import OTHER
from engine.runtime.spawn import python_command
from engine.runtime.supervisor import LOCK, SOCKET

_CONNECT_TIMEOUT_SECONDS = 10.0  # seconds in which a supervisor that was just started must answer


def try_connect(run: Path) -> socket.socket | None:
    """Connect to a running supervisor.

    Returns None if no supervisor runs, or if another program listens on the supervisor's socket.
    """
    try:
        return peer.connect(str(run), SOCKET)
    except OSError:
        return None


def is_there(run: Path) -> bool:
    """Return whether a supervisor of the directory ``run`` is running."""
    connection = try_connect(run)
    if connection is not None:
        connection.close()
    return connection is not None


def revive(run: Path) -> None:
    """Start a supervisor unless one listens; raises OSError."""
    if not peer.is_listening(str(run), SOCKET):
        _start(run)


def connect(run: Path) -> socket.socket:
    """Connect to the supervisor, and start a supervisor if none runs; raises `RuntimeFailure` if none answers.

    Blocks up to 20 s. Raises OSError if the program of the supervisor cannot be started.
    """
    end, stopped = time.monotonic() + _CONNECT_TIMEOUT_SECONDS, 0
    while time.monotonic() < end:
        connection = try_connect(run)
        if connection is not None:
            return connection
        _start(run)
        stopped = resident.kill_stopped_holder(str(run), LOCK, stopped)
        time.sleep(0.005)
    raise RuntimeFailure(OTHER, "the supervisor of containers does not start")


def _start(run: Path) -> None:
    """Start a supervisor, and wait up to 10 s until it listens or ends; raises OSError.

    If another supervisor runs, the new supervisor ends at once. After 10 s, this function returns without an error. It
    then kills the started process only if that process has not forked the supervisor yet.
    """
    make_private_directory(run)
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            python_command("engine.runtime.supervisor", str(run.resolve())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=_CONNECT_TIMEOUT_SECONDS,
            check=False,
        )
