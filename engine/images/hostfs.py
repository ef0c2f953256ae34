"""The image ``hostfs``: it has no record, because its root file system is the files of this host."""

from __future__ import annotations

import hashlib

from engine.api import Json
from engine.golang import timestamps
from engine.images.config import render_inspect
from engine.model import ImageRecord
from engine.render.version import architecture

HOSTFS = "hostfs"
NAME = f"{HOSTFS}:latest"
ID = f"sha256:{hashlib.sha256(HOSTFS.encode()).hexdigest()}"


def means_hostfs(reference: str) -> bool:
    """Return whether a reference means the files of this host.

    Before this call, the caller looks for a stored image with the name ``hostfs:latest``, which has priority. The
    reference ``hostfs`` without a tag always means the files of this host.
    """
    return reference in (HOSTFS, NAME, ID)


def inspect() -> Json:
    """Return the document of GET /images/hostfs/json, which compose reads before it creates a container."""
    record = ImageRecord(ID, (NAME,), timestamps.NEVER, 0, "/")
    return render_inspect(record, {"architecture": architecture(), "comment": "The files of this host"})
