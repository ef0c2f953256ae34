"""A container's own directory under HAWSE_ROOT: how much it holds, and taking it away."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from engine.host import Host
from engine.paths import make_private_directory


def remove(host: Host, container_id: str) -> None:
    """Take the directory away; idempotent. What is in it is deleted when nobody waits any more.

    So is what an earlier removal, killed between the two, has left.
    """
    discarded = host.root / "discarded"
    make_private_directory(discarded)
    try:
        _directory(host, container_id).rename(discarded / container_id)
    except FileNotFoundError:
        return
    _delete([discarded / name for name in os.listdir(discarded)])


def _delete(trees: Sequence[Path]) -> None:
    """Delete in a process of its own, which has nothing of ours."""
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    try:
        os.posix_spawnp("rm", ["rm", "-rf", "--", *map(str, trees)], environment, file_actions=null, setsid=True)
    except FileNotFoundError:  # a bare PATH
        for tree in trees:
            shutil.rmtree(tree, ignore_errors=True)


def size(host: Host, container_id: str) -> int:
    """Bytes that the container's writable layer takes on the disk."""
    layer = _directory(host, container_id) / "layer"
    found = (p.lstat() for p in layer.rglob("*"))
    return sum(f.st_size for f in found if not stat.S_ISDIR(f.st_mode))


def _directory(host: Host, container_id: str) -> Path:
    return host.root / "containers" / container_id
