"""Image references as the command line takes them."""

from __future__ import annotations

import posixpath
import re

from cli.app import StatusError
from engine.errors import InvalidArgument, NotFound
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
