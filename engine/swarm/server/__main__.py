"""``python -m engine.swarm.server``: serve the host of HAWSE_ROOT until killed."""

from __future__ import annotations

import socket
import sys

from engine.cluster import membership
from engine.paths import root_directory
from engine.swarm.server.server import Server

BACKLOG = 256
"""Connections that may wait to be taken in."""


def main() -> int:
    """Listen where this manager has told the others that it does."""
    root = root_directory()
    me = membership.load(root)
    if me is None:
        return 1
    family = socket.AF_INET6 if ":" in me.address else socket.AF_INET
    with socket.create_server((me.address, me.port), family=family, backlog=BACKLOG) as listener:
        Server(root).serve(listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
