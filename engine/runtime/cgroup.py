"""Move hawse's resident processes, and each container with ``--pid host``, to control groups of their own.

A resident process is a background process of hawse, such as the supervisor. A command starts it in the command's own
control group. The end of the command's session or systemd unit would kill all processes of this group. Therefore the
resident process moves to ``/hawse/shared``, which is outside the groups of systemd, as Docker's ``/docker`` is.
``/hawse`` itself has no processes, so that its subgroups can have controllers (cgroups(7)).

A container with ``--pid host`` has its own group, so that the kernel can kill all its processes at once, even while
they fork. A parameter ``container`` is the path of the container's directory in HAWSE_RUN.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import zlib

from drivers.linux import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GROUP = "hawse/shared"
_HIERARCHIES = {"": ("cgroup2", ""), "name=systemd": ("cgroup", "systemd")}
"""The control group hierarchies by which systemd finds the processes of a unit.

A key is the hierarchy's name in /proc/self/cgroup. A value has the file system type and the mount option ``name`` with
which the hierarchy can be mounted. A host with systemd has the second hierarchy only if it still uses version 1 of
control groups.
"""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
REMOVAL_SECONDS = 1.0
"""Maximum seconds to wait until the killed processes of a control group have ended."""


def leave() -> None:
    """Move this process to hawse's control group ``/hawse/shared``, with all children that it forks later; idempotent.

    Does nothing in the root group, which no session or unit owns. Also does nothing if this process is not allowed to
    mount or change control groups, as in some containers.
    """
    with contextlib.suppress(OSError), open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file.read().splitlines():
            _, name, path = line.split(":", 2)
            if name in _HIERARCHIES and path not in ("/", f"/{_GROUP}"):
                _move(*_HIERARCHIES[name])


def _move(kind: str, name: str) -> None:
    """Move this process to ``/hawse/shared`` in one control group hierarchy; does nothing if this fails.

    ``kind`` is the file system type of the hierarchy: "cgroup2", or "cgroup" for version 1. ``name`` is the mount
    option ``name`` that identifies a hierarchy of version 1; it is "" for cgroup2.
    """
    with contextlib.suppress(OSError), _hierarchy(kind, {"none": None, "name": name} if name else {}) as root:
        _make(root, _GROUP)
        _write(root, f"{_GROUP}/cgroup.procs", "0")  # 0 means the process that writes


def enter(container: str, first: int = 0) -> None:
    """Move a process to a container's own control group, with all children that it forks later.

    If ``first`` is 0, the calling process is moved to the existing group. Otherwise ``first`` is the pid of the
    container's first process. The group is then created, and the first process is moved.

    Does nothing if the calling process is not allowed to change control groups.
    """
    with contextlib.suppress(OSError), _hierarchy("cgroup2", {}) as root:
        if first:
            _make(root, _own_group(container))
        _write(root, f"{_own_group(container)}/cgroup.procs", str(first))


def members(container: str) -> set[int]:
    """Return the pids of the processes in a container's own control group and its subgroups; empty without the group.

    Processes outside the caller's pid namespace have the pid 0.
    """
    pids = set[int]()
    with contextlib.suppress(OSError), _hierarchy("cgroup2", {}) as root:
        for parent, name in _groups(root, _own_group(container)):
            with contextlib.suppress(OSError):  # the group has been removed, or is a threaded group
                fd = os.open(f"{name}/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC, dir_fd=parent)
                with open(fd, encoding="ascii") as file:
                    pids.update(map(int, file))
    return pids


def kill(container: str) -> None:
    """Kill all processes in a container's own control group; does nothing without the group, or before Linux 5.14."""
    with contextlib.suppress(OSError), _hierarchy("cgroup2", {}) as root:
        _write(root, f"{_own_group(container)}/cgroup.kill", "1")


def remove(container: str) -> None:
    """Remove a container's own control group with its subgroups.

    Blocks up to `REMOVAL_SECONDS` until the processes in these groups have ended.
    """
    deadline = time.monotonic() + REMOVAL_SECONDS
    with contextlib.suppress(OSError), _hierarchy("cgroup2", {}) as root:
        while _is_busy(root, _own_group(container)) and time.monotonic() < deadline:
            time.sleep(0.005)


def _own_group(container: str) -> str:
    """Return the name of a container's own control group.

    Containers below different HAWSE_RUN directories may have equal ids. Therefore the name depends on the whole path of
    the directory.
    """
    return f"hawse/{os.path.basename(container)}-{zlib.crc32(os.fsencode(container)):08x}"


@contextlib.contextmanager
def _hierarchy(kind: str, options: Mapping[str, str | None]) -> Iterator[int]:
    """Mount a control group hierarchy without a mount point; yield a file descriptor of its root directory.

    ``kind`` is the file system type: "cgroup2", or "cgroup" for version 1. ``options`` maps each mount option to its
    value, or to None for an option without a value. The host's own mounts are not used, because ``ip netns exec`` hides
    the host's mounts below /sys.
    """
    root = namespaces.open_file_system(kind, options)
    try:
        yield root
    finally:
        os.close(root)


def _make(root: int, group: str) -> None:
    for directory in (os.path.dirname(group), group):
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o755, dir_fd=root)


def _write(root: int, path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=root), "wb", buffering=0) as file:
        file.write(text.encode())


def _is_busy(root: int, group: str) -> bool:
    """Remove a control group and its subgroups if they have no processes; return whether it still exists.

    ``root`` is a file descriptor of the hierarchy's root directory. ``group`` is the path of the group below this
    directory. Raises OSError if the group is missing or cannot be removed.
    """
    try:
        for parent, name in _groups(root, group):
            with contextlib.suppress(FileNotFoundError):  # another process has removed the group meanwhile
                os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    return False


def _groups(root: int, path: str) -> Iterator[tuple[int, str]]:
    """Yield a control group and all its subgroups, each as the tuple (file descriptor of parent directory, name).

    The subgroups of a group come before the group. ``root`` is a file descriptor of the hierarchy's root directory, and
    ``path`` is the path of the group below this directory. A container can nest more groups than a process can open
    files. Therefore only one directory is open at a time. Raises OSError if the group is missing.
    """
    directory = os.open(os.path.dirname(path), _DIRECTORY, dir_fd=root)
    names = list[str]()  # the path to the open group
    unvisited = [[os.path.basename(path)]]  # for each directory on this path, its subgroups still to visit
    try:
        while unvisited:
            if unvisited[-1]:
                name = unvisited[-1].pop()
                try:
                    directory = _changed(directory, name)
                except FileNotFoundError:  # a process of the container has removed the subgroup meanwhile
                    if not names:
                        raise
                    continue
                names.append(name)
                unvisited.append(_subgroups(directory))
            else:
                unvisited.pop()
                if names:
                    directory = _changed(directory, "..")
                    yield directory, names.pop()
    finally:
        os.close(directory)


def _changed(directory: int, name: str) -> int:
    """Open the directory ``name`` in ``directory``, close ``directory``, and return the new file descriptor.

    Raises OSError if ``name`` cannot be opened; ``directory`` then stays open.
    """
    opened = os.open(name, _DIRECTORY, dir_fd=directory)
    os.close(directory)
    return opened


def _subgroups(group: int) -> list[str]:
    """Return the names of the subgroups of a control group; ``group`` is a file descriptor of its directory.

    The result is empty if the group has been removed.
    """
    try:
        with os.scandir(group) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
