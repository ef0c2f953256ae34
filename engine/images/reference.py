"""Convert image names to the form in which they are stored, check new names, and find images by names and ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import InvalidArgument, NotFound, quoted
from engine.model import ImageRecord
from engine.validate.image_reference import parse_reference

_IDENTIFIER = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


def normalise(reference: str) -> str:
    """Return an image reference in its stored form: ``name:tag``, with the default tag ``latest``.

    A reference with a digest gives ``name@digest`` or ``name:tag@digest``. Because the digest is kept, the reference
    never matches an image that only has the same name. Raises `InvalidArgument` for an invalid reference.
    """
    return str(parse_reference(reference))


def new_name(reference: str) -> str:
    """Check the new name of an image, and return it as ``name:tag``; the default tag is ``latest``.

    Raises `InvalidArgument` with Docker's message if the name is invalid or has a digest.
    """
    parsed = parse_reference(reference)
    if parsed.digest:
        raise InvalidArgument("cannot import digest reference")
    if parsed.name == "sha256":
        raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
    return str(parsed)


def archived_name(reference: str) -> str:
    """Check an image name from an archive, and return it in its stored form ``name:tag``.

    Raises `InvalidArgument` if the name is invalid, has no tag, or has a digest.
    """
    parsed = parse_reference(reference)
    if parsed.digest or not parsed.tag:
        raise InvalidArgument(f"invalid tag {quoted(reference)}")
    return new_name(reference)


def id_prefix(reference: str) -> str | None:
    """Return the hexadecimal digits of an image id or id prefix, or None if ``reference`` cannot be one of these."""
    match = _IDENTIFIER.fullmatch(reference)
    return match[1] if match else None


def find(images: Sequence[ImageRecord], reference: str) -> tuple[ImageRecord | None, str]:
    """Return the image that a name or an id prefix refers to, and the name by which it was found.

    The image is None if no image matches, or if the id prefix matches several. The name is "" if the image was found by
    its id.
    """
    try:
        name = normalise(reference)
    except InvalidArgument:
        name = ""
    for image in images:
        if name in image.references or name in image.digests:
            return image, name
    digits = id_prefix(reference)
    matching = [image for image in images if digits and image.id.removeprefix("sha256:").startswith(digits)]
    return (matching[0] if len(matching) == 1 else None), ""


def missing(reference: str) -> NotFound:
    """Return Docker's error for the missing image ``reference``; raises `InvalidArgument` if this name is invalid."""
    digits = id_prefix(reference) or ""
    whole_id = len(digits) == 64 or reference.startswith("sha256:")
    return NotFound(f"No such image: {f'sha256:{digits}' if whole_id and digits else normalise(reference)}")
