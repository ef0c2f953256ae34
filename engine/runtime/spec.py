"""Makes a process spec ready for the supervisor: real paths, mount sources that exist, a root that can be mounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.runtime.api import ProcessSpec, RuntimeFailure
from engine.runtime.errors import OTHER


def prepare(spec: ProcessSpec, hidden: Sequence[Path] = ()) -> dict[str, Any]:
    """The spec as JSON; missing bind sources are made as directories, as Docker does.

    A container on the host's file system does not see the ``hidden`` directories.
    """
    document = asdict(spec)
    document["rootfs"] = os.path.realpath(spec.rootfs)
    document["hidden"] = [os.path.realpath(path) for path in hidden] if document["rootfs"] == "/" else []
    document["log_path"] = os.path.abspath(spec.log_path) if spec.log_path else ""
    document["files"] = {target: os.path.realpath(source) for target, source in spec.files.items()}
    if spec.netns not in ("", "host"):
        document["netns"] = os.path.abspath(spec.netns)
    for mount in spec.mounts:
        os.makedirs(mount.source, mode=0o755, exist_ok=True) if not os.path.exists(mount.source) else None
    if spec.overlay_dir and spec.rootfs != "/":
        document["rootfs"], document["overlay_dir"] = _layer(document["rootfs"], os.path.realpath(spec.overlay_dir))
    return document


def _layer(rootfs: str, layer: str) -> tuple[str, str]:
    """(root, overlay directory); where the kernel has no overlayfs, a full copy of the root and no overlay."""
    with open("/proc/filesystems", encoding="ascii") as file:
        if any(line.split()[-1] == "overlay" for line in file):
            return rootfs, layer
    copy, unfinished = os.path.join(layer, "copy"), os.path.join(layer, "copying")
    if not os.path.isdir(copy):
        os.makedirs(layer, mode=0o700, exist_ok=True)
        subprocess.run(["rm", "-rf", unfinished], check=True)
        done = subprocess.run(["cp", "-a", "--", rootfs, unfinished], capture_output=True, check=False, text=True)
        if done.returncode:
            raise RuntimeFailure(OTHER, f"no overlayfs in this kernel, and copying {rootfs} failed: {done.stderr}")
        os.rename(unfinished, copy)
    return copy, ""
