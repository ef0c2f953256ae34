"""Image references as the command line takes them."""

from __future__ import annotations

import re

from engine.errors import InvalidArgument
from engine.validate.image_reference import parse_reference

_IDENTIFIER = re.compile(r"(sha256:)?[0-9a-f]{64}")


def is_identifier(text: str) -> bool:
    """Tell whether the text is a full image id rather than a name."""
    return bool(_IDENTIFIER.fullmatch(text))


def check_reference(text: str) -> str:
    """Check an image reference; the familiar form with a tag, ``app`` as ``app:latest``; ids stay as they are."""
    if is_identifier(text):
        return text
    try:
        return str(parse_reference(text))
    except InvalidArgument as error:
        raise ValueError(str(error)) from error
