"""``python -m engine.swarm.server``: run a manager's server, which serves the other hosts of the cluster.

HAWSE_ROOT is the directory with the manager's state. The server runs until the process is killed. If this host is in no
cluster, the process ends at once with the exit code 1.
"""

from __future__ import annotations

import socket
import sys

from engine.cluster import membership as memberships
from engine.paths import root_directory
from engine.swarm.server.server import ManagerServer

BACKLOG = 256
"""Maximum number of connections that wait to be accepted."""


def main() -> int:
    """Run the server at the address that this manager has published to other hosts, until the process is killed.

    Returns 1 at once if this host is in no cluster.
    """
    root = root_directory()
    membership = memberships.load(root)
    if membership is None:
        return 1
    family = socket.AF_INET6 if ":" in membership.address else socket.AF_INET
    with socket.create_server((membership.address, membership.port), family=family, backlog=BACKLOG) as listener:
        ManagerServer(root).serve(listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
