"""Has the supervisor start the agent anew, should somebody kill it while containers need it.

The supervisor, which is there as long as any container runs, is given what to execute, and does so when the connection
ends without a farewell. Where systemd runs the agent, it sees to that itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from socket import socket

from engine.agent.client import LOG
from engine.agent.service import Snapshot
from engine.eventloop.loop import Loop
from engine.runtime import protocol
from engine.runtime.supervisor_client import try_connect


class RespawnService:
    """A connection to the supervisor of ``run_dir``, made again when there is another supervisor."""

    name = "guard"

    def __init__(self, loop: Loop, run_dir: Path) -> None:
        self._loop, self._run_dir = loop, run_dir
        self._connection: socket | None = None
        self._by_systemd = os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())

    def reconcile(self, state: Snapshot) -> None:
        """Ask to be guarded, unless that is so or there is nobody to ask."""
        if self._connection is not None or self._by_systemd:
            return
        found = try_connect(self._run_dir)
        if found is None:
            return
        self._connection = found
        self._loop.watch(found.fileno(), lambda _: self._lose())
        log = str(self._run_dir / LOG)
        with suppress(OSError):
            protocol.send(found, {"op": "guard", "argv": command(), "env": environment(os.environ), "log": log})

    def _lose(self) -> None:
        """Let go of a supervisor that has ended; it never sends anything."""
        if self._connection is not None:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self._connection = None

    def needed(self) -> bool:
        """Never: it is here for the others' sake."""
        return False

    def close(self) -> None:
        """Say farewell."""
        if self._connection is not None:
            with suppress(OSError):
                protocol.send(self._connection, {"op": "dismiss"})
        self._lose()


def command() -> list[str]:
    """What this process executes."""
    return [sys.executable, *sys.orig_argv[1:]]


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """What the next agent is to have of this one's environment: all but whom to tell that it listens."""
    return {name: value for name, value in own.items() if name != "HAWSE_AGENT_READY"}
