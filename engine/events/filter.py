"""Decide whether an event matches the filters of ``events``, as dockerd 26.1 decides."""

from __future__ import annotations

import re

from engine.filters.rules import matches_exactly, matches_labels
from engine.model import Event, Filters

NAMES = ("daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config")
"""Filter keys for the object of an event: a value matches the beginning of the object's id or name.

The object may be of any type: as in Docker, the key ``container`` can match an event of a network.
"""
WITH_COMMAND = ("health_status", "exec_create", "exec_start")
"""Actions that have a text after a colon, such as ``exec_start: sh``. If the user filters for one of these words, all
values of this filter are compared with the beginning of the action.
"""
TAG = re.compile(r"(?s)(?P<name>.+?)(?::[^/]*)?(?:@.*)?")


def matches(event: Event, filters: Filters) -> bool:
    """Return whether an event matches all filters. Unknown filter keys are ignored, as in Docker.

    If a key has several values, at least one value must match. For the key ``label``, all values must match.
    """
    return (
        _matches_action(filters, event.action)
        and matches_exactly(filters, "type", event.type)
        and matches_exactly(filters, "scope", event.scope)
        and all(_has_prefix(filters, key, event.actor, event.attributes.get("name", "")) for key in NAMES)
        and _matches_image(filters, event)
        and matches_labels(filters.get("label", ()), event.attributes)
    )


def _matches_action(filters: Filters, action: str) -> bool:
    if any(word in filters.get("event", ()) for word in WITH_COMMAND):
        return _has_prefix(filters, "event", action)
    return matches_exactly(filters, "event", action)


def _has_prefix(filters: Filters, key: str, *texts: str) -> bool:
    prefixes = filters.get(key, ())
    return not prefixes or any(text.startswith(prefix) for prefix in prefixes for text in texts)


def _matches_image(filters: Filters, event: Event) -> bool:
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    return any(matches_exactly(filters, "image", text) for text in (event.actor, name, _bare(event.actor), _bare(name)))


def _bare(name: str) -> str:
    """Return the name of an image without its tag and digest. Example: "a/b:1" gives "a/b"."""
    match = TAG.fullmatch(name)
    return match["name"] if match else name
