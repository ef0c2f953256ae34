"""Directories of hawse's own: nobody but root looks into them, nor into those that had to be made above them."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def make_private(path: Path) -> None:
    """Make a directory, and what is missing above it, for root alone (0700); one that is there stays as it is."""
    if path.is_dir():
        return
    make_private(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
