"""Check image references (names or ids) as Docker's command line does."""

from __future__ import annotations

import posixpath
import re

from cli.app import StatusError
from engine.errors import InvalidArgument, NotFound
from engine.validate.image_reference import parse_reference

_IDENTIFIER = re.compile(r"(sha256:)?[0-9a-f]{64}")


def is_identifier(text: str) -> bool:
    """Return whether the text is a full image id: 64 hexadecimal digits, with or without ``sha256:`` before them."""
    return bool(_IDENTIFIER.fullmatch(text))


def check_reference(text: str) -> str:
    """Check an image reference, which is an image's name or full id; raises ValueError.

    Return a name in its short form. A name with neither tag nor digest gets the tag latest: ``docker.io/library/app``
    becomes ``app:latest``. A full id is returned unchanged.
    """
    if is_identifier(text):
        return text
    try:
        return str(parse_reference(text))
    except InvalidArgument as error:
        raise ValueError(str(error)) from error


def path_segment(reference: str) -> str:
    """Check an object's name or id, and return it without leading slashes.

    Docker's client puts the name into the URL of its request, where leading slashes have no effect. Raises NotFound for
    an empty name, and for a name such as ``.``, ``../web`` or ``web/..``. Docker's daemon has no URL for these names.
    """
    stripped = reference.lstrip("/")
    if not reference or (posixpath.normpath(stripped).partition("/")[0] in (".", "..") and stripped):
        raise NotFound("page not found")
    return stripped


def container_path_segment(container: str) -> str:
    """Check a container's name or id, and return it without leading slashes.

    Raises the StatusError of Docker's client for an empty name. Raises NotFound for a name such as ``.``, ``../web`` or
    ``web/..``, because Docker's daemon has no URL for such a name.
    """
    if not container:
        raise StatusError("Error: No such container: ")
    return path_segment(container)
