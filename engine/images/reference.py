"""Names of images: as the store keeps them, as new ones are accepted, and ids in their place."""

from __future__ import annotations

import re

from engine.errors import InvalidArgument, quoted
from engine.validate.image_reference import parse_reference

_IDENTIFIER = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


def normalise(reference: str) -> str:
    """Return ``name:tag`` as Docker shows it, with tag ``latest`` if none is given; raises `InvalidArgument`.

    A digest stays, so that a reference pinned by one never means an image that is only named so.
    """
    return str(parse_reference(reference))


def new_name(reference: str) -> str:
    """Return ``name:tag`` for a name that an image is to be given; raises `InvalidArgument` in Docker's words."""
    found = parse_reference(reference)
    if found.digest:
        raise InvalidArgument("cannot import digest reference")
    if found.name == "sha256":
        raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
    return str(found)


def archived_name(reference: str) -> str:
    """Return a name that an archive gives to an image; it must have a tag."""
    found = parse_reference(reference)
    if found.digest or not found.tag:
        raise InvalidArgument(f"invalid tag {quoted(reference)}")
    return new_name(reference)


def id_prefix(reference: str) -> str | None:
    """Return the hexadecimal digits of an id or of its beginning; None when ``reference`` cannot be one."""
    match = _IDENTIFIER.fullmatch(reference)
    return match[1] if match else None
