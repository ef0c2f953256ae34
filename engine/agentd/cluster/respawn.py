"""``python -m engine.agentd.cluster.respawn``: restart a killed agent, so that this host's lease does not expire.

The process waits for the agent's lock, which the kernel releases when the agent ends. The process itself ends when this
host has left its cluster, or when the directory HAWSE_RUN no longer exists.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from engine.agent import client
from engine.cluster import membership
from engine.paths import open_private, root_directory, run_directory

RESTART_DELAY_SECONDS = 0.2
"""Seconds to wait after each start of the agent, so that a failing agent is not restarted in a tight loop."""


def main() -> int:
    """Restart the agent each time the agent ends, until this host is in no cluster or has no run directory."""
    root, run = root_directory(), run_directory()
    while membership.exists(root):
        try:
            lock = open_private(run / client.LOCK, os.O_RDWR)
        except FileNotFoundError:
            return 0
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.close(lock)
        if membership.exists(root):
            client.ensure(run, root)
        time.sleep(RESTART_DELAY_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
