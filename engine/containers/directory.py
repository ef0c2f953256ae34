"""Measure and remove a container's own directory under HAWSE_ROOT."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from engine.host import Host
from engine.images.trees import tree_size
from engine.paths import make_private_directory
from engine.runtime.spawn import spawn

DISCARDED = ".discarded"
"""The subdirectory of HAWSE_ROOT/containers for the directories of removed containers."""


def remove(host: Host, ids: Iterable[str]) -> None:
    """Remove the directories of containers; idempotent.

    This function only renames the directories. The program rm deletes the contents in a separate process, so that the
    command does not wait for the deletion. If rm is not installed, this process deletes the contents itself. An earlier
    command may have been killed between the two steps. The directories that it renamed are deleted too.
    """
    # HAWSE_ROOT/containers may be a mount point, and a rename does not work across mounts. Therefore the directory for
    # discarded files is in HAWSE_ROOT/containers too.
    discarded = host.containers_directory / DISCARDED
    make_private_directory(discarded)
    for container_id in ids:
        with suppress(FileNotFoundError):
            host.directory_of(container_id).rename(discarded / container_id)
    trees = [discarded / name for name in os.listdir(discarded)]
    if trees:
        _delete(trees)


def _delete(trees: Sequence[Path]) -> None:
    """Start a separate process that deletes directory trees, and return before the process ends.

    The separate process inherits no open files. Its environment contains only PATH. If the program rm is not installed,
    the calling process deletes the trees itself.
    """
    try:
        spawn(["rm", "-rf", "--", *map(str, trees)], {"PATH": os.environ.get("PATH", os.defpath)})
    except FileNotFoundError:  # the program rm was not found in PATH
        for tree in trees:
            shutil.rmtree(tree, ignore_errors=True)


def size(host: Host, container_id: str) -> int:
    """Return the size in bytes of the files in the container's writable layer."""
    return tree_size(host.directory_of(container_id) / "layer")
