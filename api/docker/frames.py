"""The frames in which Docker sends stdout and stderr over one connection (stdcopy)."""

from __future__ import annotations

import struct

from api.docker.messages import MULTIPLEXED_STREAM, RAW_STREAM
from api.docker.versions import Version

_HEADER = struct.Struct(">BxxxL")
_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
_NAMED_SINCE: Version = (1, 42)
"""The first API version in which the media type of an answer says whether the stream has frames."""


def framed(stream: str, data: bytes) -> bytes:
    """Return data of a stream ("stdout" or "stderr") as one frame."""
    return _HEADER.pack(_NUMBERS[stream], len(data)) + data


def media_type(version: Version, *, tty: bool) -> str:
    """Return the media type of a container's output; the output of a terminal has no frames."""
    return MULTIPLEXED_STREAM if not tty and version >= _NAMED_SINCE else RAW_STREAM
