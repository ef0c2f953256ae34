"""Convert image names to the form in which they are stored, check new names, and recognise image ids."""

from __future__ import annotations

import re

from engine.errors import InvalidArgument, quoted
from engine.validate.image_reference import parse_reference

_IDENTIFIER = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


def normalise(reference: str) -> str:
    """Return a reference as ``name:tag``, as Docker shows it, with the default tag ``latest``; raises
    `InvalidArgument`.

    A digest in the reference is kept, so that the reference never matches an image that only has the same name.
    """
    return str(parse_reference(reference))


def new_name(reference: str) -> str:
    """Return ``name:tag`` for a new name of an image; raises `InvalidArgument` with Docker's message."""
    parsed = parse_reference(reference)
    if parsed.digest:
        raise InvalidArgument("cannot import digest reference")
    if parsed.name == "sha256":
        raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
    return str(parsed)


def archived_name(reference: str) -> str:
    """Return an image name from an archive in its stored form; raises `InvalidArgument` if the name has no tag."""
    parsed = parse_reference(reference)
    if parsed.digest or not parsed.tag:
        raise InvalidArgument(f"invalid tag {quoted(reference)}")
    return new_name(reference)


def id_prefix(reference: str) -> str | None:
    """Return the hexadecimal digits of an image id or its prefix, or None if ``reference`` cannot be an id."""
    match = _IDENTIFIER.fullmatch(reference)
    return match[1] if match else None
