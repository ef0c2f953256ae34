"""A container's configuration in the form of the OCI runtime specification, with Docker's choices."""

from __future__ import annotations

import os

from engine.runtime import seccomp
from engine.runtime.command import environment
from engine.runtime.credentials import Identity, capability_mask, capability_names
from engine.runtime.rootfs import MASKED_PATHS, READ_ONLY_PATHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Json = dict[str, Any]

INIT = "/sbin/docker-init"
"""Where the init of ``--init`` is in a container."""

_FLAGS = {os.ST_RDONLY: "ro", os.ST_NOSUID: "nosuid", os.ST_NODEV: "nodev", os.ST_NOEXEC: "noexec"}
_STRICT = ["nosuid", "noexec", "nodev"]
_TERMINALS = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]


class Mount:
    """One of the user's or of the engine's bind mounts: ``target`` is canonical in the root."""

    def __init__(self, source: str, target: str, *, read_only: bool, devices: bool) -> None:
        self.source, self.target, self.read_only, self.devices = source, target, read_only, devices

    def document(self) -> Json:
        """The mount as the specification has it, with the flags that the source has on the host."""
        # Because crun sets the flags of the topmost mount anew, those of the host's mount are named again.
        found = os.statvfs(self.source).f_flag
        kept = [name for flag, name in _FLAGS.items() if found & flag]
        added = [*(["rro"] if self.read_only else []), *([] if self.devices else ["rnodev"])]
        options = ["rbind", "rprivate", *kept, *added]
        return {"destination": self.target, "type": "bind", "source": self.source, "options": options}


def configuration(
    spec: Mapping[str, Any], root: str, dev: tuple[str, str], cwd: str, identity: Identity, mounts: Sequence[Mount]
) -> Json:
    """The whole document; ``dev`` is the directory that becomes /dev, and the canonical path of /dev in the root."""
    capabilities = capability_mask(spec["cap_add"], spec["cap_drop"], privileged=spec["privileged"])
    namespaces = ["ipc", "uts", "mount", "cgroup", *([] if spec["pid_host"] else ["pid"])]
    env = environment(spec["env"])
    env.setdefault("HOME", identity.home)
    argv = [INIT, "--", *spec["argv"]] if spec["init_path"] else list(spec["argv"])
    return {
        "ociVersion": "1.0.2",
        "process": {
            **process(argv, env, cwd, identity, capabilities, tty=spec["tty"]),
            "noNewPrivileges": spec["no_new_privileges"],
        },
        "root": {"path": root, "readonly": spec["read_only"]},
        "hostname": spec["hostname"],
        "domainname": spec["domainname"],
        "mounts": _mounts(spec, dev, mounts),
        "linux": {
            "namespaces": [{"type": kind} for kind in namespaces],
            **_confinement(spec, capabilities),
        },
    }


def process(
    argv: Sequence[str], env: Mapping[str, str], cwd: str, identity: Identity, capabilities: int, *, tty: bool
) -> Json:
    """A process of a container; one that is not root's has capabilities only to gain by executing a file."""
    names = capability_names(capabilities)
    held = [] if identity.uid else names
    return {
        "terminal": tty,
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": identity.groups},
        "args": list(argv),
        "env": [f"{name}={value}" for name, value in env.items()],
        "cwd": cwd,
        "capabilities": {"bounding": names, "effective": held, "permitted": held, "inheritable": [], "ambient": []},
    }


def _confinement(spec: Mapping[str, Any], capabilities: int) -> Json:
    if spec["privileged"]:
        return {}
    filtered = seccomp.filter_for(spec["seccomp"], capability_names(capabilities))
    paths = {} if spec["system_paths"] else {"maskedPaths": MASKED_PATHS, "readonlyPaths": READ_ONLY_PATHS}
    return {**paths, **({"seccomp": filtered} if filtered else {})}


def _mounts(spec: Mapping[str, Any], dev: tuple[str, str], mounts: Sequence[Mount]) -> list[Json]:
    prepared, place = dev
    read_only, devices = ([], []) if spec["privileged"] else (["ro"], ["nodev"])
    fixed = [
        ("/proc", "proc", "proc", _STRICT),
        (place, "bind", prepared, ["rbind", "rprivate", "nosuid", *devices]),
        (f"{place}/pts", "devpts", "devpts", _TERMINALS),
        ("/sys", "sysfs", "sysfs", [*_STRICT, *read_only]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*_STRICT, *read_only]),
        (f"{place}/mqueue", "mqueue", "mqueue", _STRICT),
        (f"{place}/shm", "tmpfs", "shm", [*_STRICT, "mode=1777", "size=65536k"]),
    ]
    if not os.path.isdir("/proc/sys/fs/mqueue"):
        fixed = [entry for entry in fixed if entry[1] != "mqueue"]
    replaced = {mount.target for mount in mounts}
    kept = [m for m in fixed if m[0] not in replaced and not (place in replaced and m[0].startswith(f"{place}/"))]
    found = [
        *({"destination": d, "type": t, "source": s, "options": o} for d, t, s, o in kept),
        *(mount.document() for mount in mounts),
    ]
    # Because crun follows a symbolic link of the root at /dev when it makes nodes there, it must see a bind mount of
    # that very name: then it makes none.
    return [{**m, "destination": "/dev"} if m["destination"] == place else m for m in found]
