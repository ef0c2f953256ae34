"""Checks of ``-v source:target[:mode]``. Only bind mounts: hawse keeps no volumes."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from engine.errors import EngineError, InvalidArgument
from engine.model import Mount

# One of each set at most; propagation and SELinux modes are accepted as Docker accepts them.
EXCLUSIVE_MODES = (
    frozenset({"ro", "rw"}),
    frozenset({"z", "Z"}),
    frozenset({"shared", "rshared", "slave", "rslave", "private", "rprivate"}),
    frozenset({"nocopy"}),
    frozenset({"consistent", "cached", "delegated"}),
)


def check_binds(binds: Sequence[str] | None) -> list[Mount]:
    """Parse all binds; raises `EngineError` kinds with Docker's texts, and for two mounts at one place."""
    mounts = [parse_mount(bind) for bind in binds or ()]
    seen: set[str] = set()
    for mount in mounts:
        if mount.target in seen:
            raise InvalidArgument(f"Duplicate mount point: {mount.target}")
        seen.add(mount.target)
    return mounts


def parse_mount(bind: str) -> Mount:
    """Parse one bind; the target is cleaned of dots and double slashes."""
    source, target, mode = _split(bind)
    if not posixpath.isabs(target):
        raise _bad_target(bind, f"invalid mount path: '{target}' mount path must be absolute")
    if _clean(target) == "/":
        raise _bad_target(bind, "invalid specification: destination can't be '/'")
    if not _is_valid_mode(mode):
        raise EngineError(f"invalid mode: {mode}")
    if not posixpath.isabs(source):
        raise InvalidArgument(
            f'create {source}: "{source}" is not an absolute path. hawse has no volumes: '
            "if you intended to pass a host directory, use absolute path"
        )
    return Mount(source, _clean(target), read_only="ro" in mode.split(","))


def _bad_target(bind: str, fault: str) -> EngineError:
    return EngineError(f"invalid volume specification: '{bind}': invalid mount config for type \"bind\": {fault}")


def _split(bind: str) -> tuple[str, str, str]:
    parts = bind.split(":")
    if not all(parts[:2]) or len(parts) > 3:
        raise EngineError(f"invalid volume specification: '{bind}'")
    if len(parts) == 1:
        raise InvalidArgument(f"{bind}: anonymous volumes are not supported, name a host directory: source:target")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


def _clean(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")


def _is_valid_mode(mode: str) -> bool:
    if not mode:
        return True
    words = mode.split(",")
    if any(len(kind & set(words)) > 1 or sum(words.count(w) for w in kind) > 1 for kind in EXCLUSIVE_MODES):
        return False
    return all(any(word in kind for kind in EXCLUSIVE_MODES) for word in words)
