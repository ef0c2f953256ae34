"""Build the JSON document of an event (events.Message of Docker's API)."""

from __future__ import annotations

from typing import Any

from engine.model import Event

SECOND = 1_000_000_000  # nanoseconds


def event_document(event: Event) -> dict[str, Any]:
    """Return the document of an event.

    As in Docker 26.1, the old fields ``status``, ``id`` and ``from`` are only in events of containers and images.
    """
    document: dict[str, Any] = {}
    if event.type in ("container", "image"):
        document |= {"status": event.action, "id": event.actor}
    if event.type == "container" and event.attributes.get("image"):
        document["from"] = event.attributes["image"]
    return document | {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": dict(sorted(event.attributes.items()))},
        "scope": event.scope,
        "time": event.time // SECOND,
        "timeNano": event.time,
    }
