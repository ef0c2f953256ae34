"""Makes the supervisor restart the agent if the agent is killed while containers need it.

The supervisor (the process that watches containers) runs as long as any container runs. The agent sends its own command
line to the supervisor. If the agent's connection closes without a ``dismiss`` message, the supervisor executes this
command line. If systemd runs the agent, this service does nothing, because systemd restarts the agent.
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
    """The agent's connection to the supervisor of this host; opened again when the host has a new supervisor."""

    name = "guard"

    def __init__(self, loop: Loop, run_dir: Path) -> None:
        self._loop, self._run_dir = loop, run_dir
        self._connection: socket | None = None
        self._by_systemd = os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())

    def reconcile(self, state: Snapshot) -> None:
        """Ask the supervisor to restart the agent if the agent is killed.

        Does nothing if the supervisor already has this request, or if no supervisor is running.
        """
        if self._connection is not None or self._by_systemd:
            return
        connection = try_connect(self._run_dir)
        if connection is None:
            return
        self._connection = connection
        self._loop.watch(connection.fileno(), lambda _: self._lose())
        log = str(self._run_dir / LOG)
        with suppress(OSError):
            protocol.send(connection, {"op": "guard", "argv": command(), "env": environment(os.environ), "log": log})

    def _lose(self) -> None:
        """Close the connection to a supervisor that has ended.

        The supervisor never sends data, so a readable connection means that the supervisor has ended.
        """
        if self._connection is not None:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self._connection = None

    def needed(self) -> bool:
        """Return False, because this service alone never keeps the agent running."""
        return False

    def close(self) -> None:
        """Notify the supervisor that it must not restart the agent, and close the connection."""
        if self._connection is not None:
            with suppress(OSError):
                protocol.send(self._connection, {"op": "dismiss"})
        self._lose()


def command() -> list[str]:
    """Return the command line with which this process was started."""
    return [sys.executable, *sys.orig_argv[1:]]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for the next agent: ``variables`` without HAWSE_AGENT_READY."""
    return {name: value for name, value in variables.items() if name != "HAWSE_AGENT_READY"}
