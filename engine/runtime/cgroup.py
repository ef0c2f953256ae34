"""Move a resident process to a separate control group.

Otherwise a resident process, and every container that it starts, would stay in the control group of the command that
started the process. The end of that command's session or systemd unit would then kill them all. The control group
``/hawse/shared`` is outside the groups of systemd, as Docker's ``/docker`` is. ``/hawse`` itself has no processes, so
that its subgroups can have controllers (cgroups(7)). This module has few imports, because the supervisor uses it and
must use little memory.
"""

from __future__ import annotations

import contextlib
import os

from drivers.linux import namespaces

_GROUP = "hawse/shared"
_HIERARCHIES = {"": ("cgroup2", ""), "name=systemd": ("cgroup", "systemd")}
"""The hierarchies by which systemd finds the processes of a unit: their names in /proc/self/cgroup, and how to mount
them. A host with systemd has the second one only if it still uses version 1 of control groups.
"""


def leave() -> None:
    """Move this process to hawse's control group, with all children that it forks later; idempotent.

    Does nothing in the root group, which no session or unit owns. Also does nothing if this process is not allowed to
    mount or change control groups, as in some containers.
    """
    with contextlib.suppress(OSError), open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file.read().splitlines():
            _, name, path = line.split(":", 2)
            if name in _HIERARCHIES and path not in ("/", f"/{_GROUP}"):
                _move(*_HIERARCHIES[name])


def _move(kind: str, name: str) -> None:
    """Move this process to hawse's control group in one hierarchy.

    ``kind`` is the file system type of the hierarchy, and ``name`` is its mount option ``name`` or "". The hierarchy is
    mounted again, without a mount point, because ``ip netns exec`` hides the host's mounts below /sys.
    """
    with contextlib.suppress(OSError):
        root = namespaces.open_file_system(kind, {"none": None, "name": name} if name else {})
        try:
            for directory in (os.path.dirname(_GROUP), _GROUP):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(directory, 0o755, dir_fd=root)
            processes = os.open(f"{_GROUP}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=root)
            try:
                os.write(processes, b"0")  # 0 means the process that writes
            finally:
                os.close(processes)
        finally:
            os.close(root)
