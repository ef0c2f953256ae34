"""The version of hawse, and the ``Swarm`` part of /info on a host that is in no cluster."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any

OUTSIDE: dict[str, Any] = {
    "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
    "RemoteManagers": None, "Nodes": 0, "Managers": 0,
}  # fmt: skip
"""The ``Swarm`` part of /info on a host in no cluster; templates find the numbers, which Docker leaves out of JSON."""


def version_text() -> str:
    """hawse's own version."""
    try:
        return metadata.version("hawse")
    except metadata.PackageNotFoundError:
        return "0.1.0"


API_VERSION = "1.45"


MIN_API_VERSION = "1.24"


DOCKER_VERSION = "26.1.5"


def architecture() -> str:
    """Return this machine's architecture by Go's name."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
