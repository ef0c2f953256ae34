"""References to objects as the addresses of Docker's API carry them, which is not quite as they were typed."""

from __future__ import annotations

import posixpath

from cli.errors import StatusError
from engine.errors import NotFound


def path_segment(reference: str) -> str:
    """Drop leading slashes, which an address swallows; an empty reference, or dots, make an address without a page."""
    stripped = reference.lstrip("/")
    if not reference or (posixpath.normpath(stripped).partition("/")[0] in (".", "..") and stripped):
        raise NotFound("page not found")
    return stripped


def container_path_segment(container: str) -> str:
    """Prepare a container's reference; an empty one is refused by Docker's client, before it asks the daemon."""
    if not container:
        raise StatusError("Error: No such container: ")
    return path_segment(container)
