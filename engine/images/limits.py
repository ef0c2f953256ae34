"""Limits on the bytes and members of an archive.

The limits come from environment variables or are defaults. A limit above the free space of the disk is lowered, so that
an import never fills a disk.
"""

from __future__ import annotations

import os

from msgspec import Struct

from engine.errors import InvalidArgument

SIZE_VARIABLE, MEMBERS_VARIABLE = "HAWSE_IMAGE_LIMIT", "HAWSE_IMAGE_MEMBERS"
DEFAULT_SIZE = 32 << 30  # maximum bytes of one archive or image if no environment variable sets a limit
DEFAULT_MEMBERS = 1_000_000

_USABLE = 0.9  # share of the free bytes and inodes that an import may use


class Limits(Struct, frozen=True):
    """The maximum size of an archive in bytes (``size``), and its maximum number of members (``members``).

    ``why`` is a text for error messages that says where the byte limit comes from.
    """

    size: int = DEFAULT_SIZE
    members: int = DEFAULT_MEMBERS
    why: str = SIZE_VARIABLE

    def too_large(self, what: str) -> str:
        """Return the error message for an archive that exceeds the limit ``size``; ``what`` is "archive" or "image"."""
        return f"the {what} is larger than {self.size} bytes ({self.why})"


def limits_for(directory: str) -> Limits:
    """Return the limits on an archive that is unpacked below ``directory``.

    Raises `InvalidArgument` for an invalid environment variable.
    """
    limits = Limits(_number(SIZE_VARIABLE, DEFAULT_SIZE), _number(MEMBERS_VARIABLE, DEFAULT_MEMBERS))
    return within_free_space(limits, directory)


def within_free_space(limits: Limits, directory: str) -> Limits:
    """Return ``limits``, lowered to at most nine tenths of the free bytes and free inodes of a disk.

    ``directory`` is on this disk. Inodes are not compared if the file system creates inodes when they are needed.
    """
    status = os.statvfs(directory)
    size, members = limits.size, limits.members
    free = int(status.f_bavail * status.f_frsize * _USABLE)
    if status.f_files:  # f_files is 0 if the file system creates inodes on demand
        members = min(members, int(status.f_favail * _USABLE))
    if free >= size:
        return Limits(size, members, limits.why)
    return Limits(free, members, f"nine tenths of the free space of {directory}")


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not int(text[:19]):
        raise InvalidArgument(f"{variable}: expected a number from 1 on, found {text!r}")
    return int(text[:19])
