"""Convert the description of a process (ProcessSpec) to a configuration for an OCI runtime such as crun.

The configuration has the same settings as the configuration that Docker makes.
"""

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

    from engine.runtime.directory import Spec

    Json = dict[str, Any]

INIT = "/sbin/docker-init"
"""The path in a container of the init program that ``--init`` requests."""

_FLAGS = {os.ST_RDONLY: "ro", os.ST_NOSUID: "nosuid", os.ST_NODEV: "nodev", os.ST_NOEXEC: "noexec"}
_STRICT = ["nosuid", "noexec", "nodev"]
_TERMINALS = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]


class OciMount:
    """A bind mount that the user or the engine requested.

    ``target`` is a canonical path in the container's root directory. ``devices`` says whether the container can open
    device files in the mount.
    """

    def __init__(self, source: str, target: str, *, read_only: bool, devices: bool) -> None:
        self.source, self.target, self.read_only, self.devices = source, target, read_only, devices

    def document(self) -> Json:
        """Return the mount in the form of the OCI specification."""
        # Repeat the mount flags that the source has on the host. Otherwise, crun would drop them from the bind mount
        # itself, but not from the mounts below it.
        flags = os.statvfs(self.source).f_flag
        kept = [name for flag, name in _FLAGS.items() if flags & flag]
        added = [*(["rro"] if self.read_only else []), *([] if self.devices else ["rnodev"])]
        options = ["rbind", "rprivate", *kept, *added]
        return {"destination": self.target, "type": "bind", "source": self.source, "options": options}


def configuration(
    spec: Spec, root: str, dev: tuple[str, str], cwd: str, identity: Identity, mounts: Sequence[OciMount]
) -> Json:
    """Return the whole OCI configuration of a container.

    - ``root``: the container's root directory
    - ``dev``: the directory that is mounted at /dev, and the canonical path of /dev in ``root``
    - ``cwd``: the working directory
    - ``identity``: the user of the command
    - ``mounts``: the bind mounts
    """
    capabilities = capability_mask(spec["cap_add"], spec["cap_drop"], privileged=spec["privileged"])
    namespaces = ["ipc", "uts", "mount", "cgroup", *([] if spec["pid_host"] else ["pid"])]
    env = environment(spec["env"], identity.home)
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
    """Return the OCI description of a process that executes ``argv`` with the environment ``env``.

    ``cwd`` is the working directory. ``capabilities`` is a bit mask. A process of a user other than root has no
    capabilities at first. It may gain capabilities of the mask (its bounding set) when it executes a set-user-ID file,
    or a file with capabilities.
    """
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


def _confinement(spec: Spec, capabilities: int) -> Json:
    if spec["privileged"]:
        return {}
    filtered = seccomp.filter_for(spec["seccomp"], capability_names(capabilities))
    paths = {} if spec["system_paths"] else {"maskedPaths": MASKED_PATHS, "readonlyPaths": READ_ONLY_PATHS}
    return {**paths, **({"seccomp": filtered} if filtered else {})}


def _mounts(spec: Spec, dev: tuple[str, str], mounts: Sequence[OciMount]) -> list[Json]:
    prepared, target = dev
    read_only, devices = ([], []) if spec["privileged"] else (["ro"], ["nodev"])
    fixed = [
        ("/proc", "proc", "proc", _STRICT),
        (target, "bind", prepared, ["rbind", "rprivate", "nosuid", *devices]),
        (f"{target}/pts", "devpts", "devpts", _TERMINALS),
        ("/sys", "sysfs", "sysfs", [*_STRICT, *read_only]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*_STRICT, *read_only]),
        (f"{target}/mqueue", "mqueue", "mqueue", _STRICT),
        (f"{target}/shm", "tmpfs", "shm", [*_STRICT, "mode=1777", "size=65536k"]),
    ]
    if not os.path.isdir("/proc/sys/fs/mqueue"):
        fixed = [entry for entry in fixed if entry[1] != "mqueue"]
    replaced = {mount.target for mount in mounts}
    kept = [m for m in fixed if m[0] not in replaced and not (target in replaced and m[0].startswith(f"{target}/"))]
    documents = [
        *({"destination": d, "type": t, "source": s, "options": o} for d, t, s, o in kept),
        *(mount.document() for mount in mounts),
    ]
    # Write exactly /dev as the target of the bind mount, because crun then creates no device nodes. With any other
    # target, crun creates device nodes, and follows a symbolic link /dev in the container's root to do so.
    return [{**m, "destination": "/dev"} if m["destination"] == target else m for m in documents]
