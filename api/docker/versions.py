"""The API versions that a path may name, and the version that an answer announces."""

from __future__ import annotations

import re

from api.docker.errors import ApiError
from engine.golang.strconv import whole_number
from engine.render.version import API_VERSION, MIN_API_VERSION

Version = tuple[int, int]
NEWEST: Version = (1, 51)
"""The newest version that a path may name. From `ANNOUNCED` to this version, only fields of documents have changed."""

_PREFIX = re.compile(r"/v([0-9]+(?:\.[0-9]+)*)(/.*)")


def parse(text: str) -> Version:
    """Return a version as two numbers: "1.45" becomes (1, 45). Further parts are ignored."""
    major, _, minor = text.partition(".")
    return whole_number(major), whole_number(minor.partition(".")[0])


ANNOUNCED = parse(API_VERSION)
"""The version in the header ``Api-Version`` and in /version. hawse copies the behaviour of the Docker release that has
this API version.
"""


def split(path: str) -> tuple[str, str]:
    """Split a path such as "/v1.45/info" into the version, or "", and the path without the version."""
    match = _PREFIX.fullmatch(path)
    return (match[1], match[2]) if match is not None else ("", path)


def supported(text: str) -> Version:
    """Convert the version in a path to two numbers; an empty ``text`` means `ANNOUNCED`.

    Raises ApiError (400) with Docker's text for a version that is too new or too old.
    """
    version = parse(text) if text else ANNOUNCED
    if version > NEWEST:
        newest = f"{NEWEST[0]}.{NEWEST[1]}"
        raise ApiError(400, f"client version {text} is too new. Maximum supported API version is {newest}")
    if version < parse(MIN_API_VERSION):
        raise ApiError(
            400,
            f"client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version",
        )
    return version
