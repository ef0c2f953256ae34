"""The versions of hawse, of Docker and of Docker's API, and the ``Swarm`` part of /info for a host in no cluster."""

from __future__ import annotations

import os
from typing import Any

OUTSIDE: dict[str, Any] = {
    "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
    "RemoteManagers": None, "Nodes": 0, "Managers": 0,
}  # fmt: skip
"""The ``Swarm`` part of /info for a host in no cluster. Docker's JSON omits numbers that are zero. This document has
the zeros, because templates of ``--format`` read these numbers too.
"""


def version_text() -> str:
    """Return the version of hawse itself, not that of Docker."""
    from importlib import metadata

    try:
        return metadata.version("hawse")
    except metadata.PackageNotFoundError:
        return "0.1.0"


API_VERSION = "1.45"


MIN_API_VERSION = "1.24"


DOCKER_VERSION = "26.1.5"


def architecture() -> str:
    """Return the name that the Go language uses for this machine's architecture, such as "amd64"."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
