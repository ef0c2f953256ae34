"""References to networks that Docker's API cannot carry."""

from __future__ import annotations

from engine.errors import NotFound


def routable(reference: str) -> str:
    """Refuse what makes an address without a page in Docker's API: an empty name."""
    if not reference:
        raise NotFound("page not found")
    return reference
