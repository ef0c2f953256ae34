"""Read the parameter ``detachKeys``: a list such as "ctrl-p,ctrl-q" or "a,ctrl-\\\\"."""

from __future__ import annotations

from api.docker.errors import bad_request
from engine.runtime.terminal import DetachKeys

_NAMED = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def detach_keys(text: str) -> DetachKeys:
    """Return the keys that end an attachment, by default ctrl-p ctrl-q; raises ApiError (400)."""
    if not text:
        return DetachKeys()
    return DetachKeys(bytes(_code(key) for key in text.split(",")))


def _code(key: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    name = key.lower().removeprefix("ctrl-")
    if key.lower().startswith("ctrl-") and len(name) == 1:
        if "a" <= name <= "z":
            return ord(name) - ord("a") + 1
        if name in _NAMED:
            return _NAMED[name]
    raise bad_request(f"Invalid detach keys ({key}) provided")
