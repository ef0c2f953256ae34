"""Build the mount tree of a hostfs container, and the root and devices of other containers for crun.

A hostfs container runs on the host's own files, which are trusted. The paths of images are not trusted (see
`root_paths`). All functions run in a new mount namespace that this process has already entered. They do not change the
host's mounts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from engine.runtime import root_paths, syscalls
from engine.runtime.errors import CREATE, NOT_FOUND, OTHER, SetupFailed, reason
from engine.runtime.hidden_directories import uncover
from engine.runtime.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from engine.runtime.directory import Spec

_GROUPS = "/sys/fs/cgroup"
_STRICT = MS_NOSUID | MS_NODEV | MS_NOEXEC
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_NULL = os.makedev(1, 3)
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
DEFAULT_SYSCTLS = {"ip_unprivileged_port_start": b"0", "ping_group_range": b"0 2147483647"}
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip


class Sources:
    """File descriptors of the host's files that a container's mount tree uses.

    The constructor opens the files before mounts of the container hide them.
    """

    def __init__(self, mounts: Sequence[Mapping[str, Any]], files: Mapping[str, str]) -> None:
        self.devices = os.open("/dev", os.O_PATH)
        self.groups = os.open("/sys/fs/cgroup", os.O_PATH) if os.path.ismount("/sys/fs/cgroup") else None
        self.mounts = [(_open_source(m["source"]), m["target"], bool(m["read_only"])) for m in mounts]
        self.files = {target: os.open(path, os.O_PATH | os.O_NOFOLLOW) for target, path in files.items()}
        self.hidden: set[tuple[int, int]] = set()


def enter_root(*, read_only: bool) -> int:
    """Separate the mounts of a hostfs container from the host's mounts.

    Returns a file descriptor of the container's root. With ``read_only``, all mounts become read-only.
    """
    syscalls.mount("", "/", flags=MS_REC | MS_PRIVATE)
    if read_only:
        syscalls.make_read_only("/")
    return os.open("/", os.O_PATH | os.O_CLOEXEC)


def show_unified_groups() -> None:
    """Mount only the unified control groups (cgroup2) at /sys/fs/cgroup, because crun refuses version 1 hierarchies.

    If the host has a cgroup2 mount elsewhere, that mount is bound. Otherwise cgroup2 is mounted in a new control group
    namespace. In the initial namespace, the kernel would apply the mount options to all groups, which takes 5 to 30
    milliseconds.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = [line.split()[4] for line in file if " - cgroup2 " in line and line.split()[3] == "/"]
    if _GROUPS in mounts:
        return
    if mounts:
        syscalls.mount(mounts[0], _GROUPS, flags=syscalls.MS_BIND)
    else:
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        syscalls.mount("cgroup2", _GROUPS, "cgroup2")


def mount_root(spec: Spec, target: str) -> None:
    """Mount the root file system of an image or a directory at the path ``target``.

    If the container is not privileged, device files in the root cannot be opened.
    """
    if spec["overlay_dir"]:
        _mount_overlay(spec["rootfs"], spec["overlay_dir"], target)
    else:
        syscalls.bind(spec["rootfs"], target)
    if not spec["privileged"]:
        syscalls.restrict(target, syscalls.MOUNT_ATTR_NODEV)


def _mount_overlay(lower: str, layer: str, mount_point: str) -> None:
    upper, work = os.path.join(layer, "upper"), os.path.join(layer, "work")
    os.makedirs(upper, mode=0o755, exist_ok=True)
    os.makedirs(work, mode=0o700, exist_ok=True)
    options = ",".join(f"{key}={_escape(path)}" for key, path in
                       (("lowerdir", lower), ("upperdir", upper), ("workdir", work)))  # fmt: skip
    syscalls.mount("overlay", mount_point, "overlay", data=options)


def _escape(path: str) -> str:
    """Return a path in which the characters that overlayfs treats as separators are escaped."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def populate(spec: Spec, sources: Sources) -> None:
    """Mount /proc, /dev, /sys and the user's binds in the mount namespace of a hostfs container.

    This process must already be in new pid, network and IPC namespaces.
    """
    _mount_fresh("proc", "/proc", "proc", _STRICT)
    _populate_dev(sources.devices, privileged=spec["privileged"])
    _mount_sysfs(privileged=spec["privileged"])
    if sources.groups is not None and os.path.isdir("/sys/fs/cgroup"):
        syscalls.bind(_path_of(sources.groups), "/sys/fs/cgroup")
        if not spec["privileged"]:
            syscalls.make_read_only("/sys/fs/cgroup")
    for source, target, read_only in sorted(sources.mounts, key=lambda m: m[1].count("/")):
        _bind(_path_of(source), target, read_only=read_only)
        uncover(source, target, sources.hidden)


def shows_devices(status: os.stat_result, devices: int) -> bool:
    """Return whether the container can use device files in a bind mount.

    It can if the mount's source is itself a device or is on the host's /dev. ``status`` is the source's status, and
    ``devices`` is a file descriptor of the host's /dev.
    """
    return status.st_dev == os.stat(devices).st_dev or stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)


def _mount_sysfs(*, privileged: bool) -> None:
    """Mount the /sys of this network namespace, read-only unless ``privileged``.

    In the host's network namespace, the kernel refuses a new mount, and the existing mount at /sys is used. Only the
    mount at /sys is made read-only, not the sysfs file system, because other mounts share the file system.
    """
    try:
        _mount_fresh("sysfs", "/sys", "sysfs", _STRICT)
    except OSError as error:
        if error.errno != errno.EBUSY:  # EBUSY: the /sys of the host's network namespace is mounted already
            raise
    if not privileged:
        syscalls.make_read_only("/sys")


def _mount_fresh(source: str, target: str, fstype: str, flags: int, data: str = "") -> None:
    target = os.path.realpath(target)
    os.makedirs(target, exist_ok=True)
    syscalls.mount(source, target, fstype, flags, data)


def make_devices(devices: int, dev: str, *, privileged: bool, console: bool) -> None:
    """Mount a /dev at the path ``dev`` with a few devices, or with all devices for a privileged container.

    ``devices`` is a file descriptor of the host's /dev. With ``console``, the container has a terminal. An unprivileged
    container has CAP_MKNOD as in Docker. It can make other devices, but it cannot open them (MS_NODEV).

    The device files are copies of the host's, because the container may change their modes and owners. They are on a
    tmpfs without MS_NODEV. The visible /dev is a second tmpfs, which is mounted over the first. The device files are
    bound into it.
    """
    names = list(_all_devices(devices)) if privileged else _DEVICES
    syscalls.mount("tmpfs", dev, "tmpfs", MS_NOSUID, "size=65536k,mode=755")
    files = {name: _new_device(devices, dev, name) for name in names}
    flags = MS_NOSUID | (0 if privileged else MS_NODEV)
    syscalls.mount("tmpfs", dev, "tmpfs", flags, "size=65536k,mode=755")
    for name, file in files.items():
        _bind(_path_of(file), f"{dev}/{name}", read_only=False)
        os.close(file)
    for name, destination in _DEVICE_LINKS.items():
        os.symlink(destination, f"{dev}/{name}")
    if console:
        os.close(os.open(f"{dev}/console", os.O_WRONLY | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC, 0o620))


def _new_device(devices: int, directory: str, name: str) -> int:
    """Make a copy of the host's device file ``name`` in ``directory``, and return a file descriptor of the copy.

    ``devices`` is a file descriptor of the host's /dev. If every container has this device, the copy has Docker's mode
    and owner. Otherwise it has those of the host's file. If this process is not allowed to make devices, returns a file
    descriptor of the host's file.
    """
    original, path = f"{_path_of(devices)}/{name}", f"{directory}/{name}"
    status = os.stat(original)
    try:
        os.mknod(path, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev)
    except PermissionError:
        return os.open(original, os.O_PATH | os.O_CLOEXEC)
    common = name in _DEVICES
    os.chown(path, *((0, 0) if common else (status.st_uid, status.st_gid)))
    os.chmod(path, 0o666 if common else stat.S_IMODE(status.st_mode))
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def is_null(fd: int) -> bool:
    """Return whether a file descriptor refers to a null device.

    The host's /dev/null must not become a stream of a container, because the container may change its mode and owner.
    """
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL


def own_null(fd: int) -> int:
    """Return a new file descriptor of the container's /dev/null if ``fd`` is a null device, else ``fd`` itself.

    This process is in the container's mount namespace.
    """
    return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC) if is_null(fd) else fd


def new_null(directory: str) -> int:
    """Open a new null device on a temporary mount at ``directory``; return its file descriptor.

    This process is in a mount namespace of its own. If it is not allowed to make devices, opens the host's /dev/null.
    """
    devices = os.open("/dev", os.O_PATH | os.O_CLOEXEC)
    syscalls.mount("tmpfs", directory, "tmpfs", MS_NOSUID, "size=64k,mode=700")
    file = _new_device(devices, directory, "null")
    null = os.open(_path_of(file), os.O_RDWR | os.O_CLOEXEC)
    syscalls.unmount(directory)
    os.close(devices)
    os.close(file)
    return null


def _populate_dev(devices: int, *, privileged: bool) -> None:
    make_devices(devices, os.path.realpath("/dev"), privileged=privileged, console=False)
    data = "newinstance,ptmxmode=0666,mode=0620,gid=5"
    _mount_fresh("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, data)
    _mount_fresh("shm", "/dev/shm", "tmpfs", _STRICT, "mode=1777,size=65536k")
    try:
        _mount_fresh("mqueue", "/dev/mqueue", "mqueue", _STRICT)
    except OSError:
        os.rmdir("/dev/mqueue")  # the kernel has no message queues


def _all_devices(devices: int) -> Iterator[str]:
    for entry in os.scandir(_path_of(devices)):
        mode = entry.stat(follow_symlinks=False).st_mode
        if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and entry.name not in ("ptmx", "console"):
            yield entry.name


def bind_files(sources: Sources, *, read_only: bool) -> None:
    """Bind a hostfs container's own files (such as /etc/hosts) over the host's files, in the container's mount tree.

    With ``read_only``, the bound files are read-only. A file that the host lacks is not created on the host. A file
    that the user has bound (-v FILE:/etc/hosts) stays.
    """
    bound = {target for _, target, _ in sources.mounts}
    for target, source in sources.files.items():
        if target in bound:
            continue
        if not os.path.exists(target):
            _shadow(os.path.dirname(target), without=os.path.basename(target))
        _bind(_path_of(source), target, read_only=read_only)


def _shadow(directory: str, without: str) -> None:
    """Mount a tmpfs over ``directory``, so that the entry ``without`` can be created without a change on the host.

    All other entries of the directory stay visible: symbolic links are copied to the tmpfs, and files and directories
    are bound into it.
    """
    old = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    entries = [entry for entry in os.scandir(_path_of(old)) if entry.name != without]
    mode = stat.S_IMODE(os.stat(old).st_mode)
    syscalls.mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, f"size=1024k,mode={mode:o}")
    for entry in entries:
        target = os.path.join(directory, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        else:
            _bind(entry.path, target, read_only=False)
    os.close(old)


def apply_default_sysctls() -> None:
    """Allow all users in a new network namespace to bind low ports and to ping, by the sysctls that Docker sets.

    A sysctl that the kernel lacks is skipped.
    """
    for name, value in DEFAULT_SYSCTLS.items():
        with contextlib.suppress(OSError), open(f"/proc/sys/net/ipv4/{name}", "r+b", buffering=0) as file:
            file.write(value)


def apply_sysctls(sysctls: Mapping[str, str], netns: str) -> None:
    """Write the values of ``--sysctl``; raises `SetupFailed` if a value cannot be written.

    Also raises `SetupFailed` for a network sysctl ("net.…") if ``netns`` is "host".
    """
    for key, value in sysctls.items():
        if netns == "host" and key.startswith("net."):
            text = f'{CREATE}sysctl "{key}" not allowed in host network namespace: unknown'
            raise SetupFailed(OTHER, text, plain=True)
        path = "/proc/sys/" + key.replace(".", "/")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _sysctl_failure("open", path, error) from error
        try:
            os.write(fd, value.encode())
        except OSError as error:
            raise _sysctl_failure("write", path, error) from error
        finally:
            os.close(fd)


def _sysctl_failure(operation: str, path: str, error: OSError) -> SetupFailed:
    kind = NOT_FOUND if isinstance(error, FileNotFoundError) else OTHER
    return SetupFailed(kind, f"error during container init: {operation} {path}: {reason(error)}")


def hide_kernel_paths() -> None:
    """Make `READ_ONLY_PATHS` of /proc and /sys read-only, and cover `MASKED_PATHS`, as Docker does."""
    for path in READ_ONLY_PATHS:
        if os.path.exists(path):
            syscalls.bind(path, path)
            syscalls.remount_read_only(path)
    for path in MASKED_PATHS:
        if os.path.isdir(path):
            syscalls.mount("tmpfs", path, "tmpfs", MS_RDONLY)
        elif os.path.exists(path):
            syscalls.bind("/dev/null", path)


def _bind(source: str, target: str, *, read_only: bool) -> None:
    mount_point = os.path.realpath(target)
    try:
        if not os.path.exists(mount_point):
            mount_point = make_on_host(target, directory=os.path.isdir(source))
        syscalls.bind(source, mount_point)
    except OSError as error:
        original = os.path.realpath(source)
        raise SetupFailed(
            OTHER,
            f'error during container init: error mounting "{original}" to rootfs at "{target}": '
            f"mount {original}:{target}, flags: 0x5000: {reason(error)}",
        ) from error
    if read_only:
        syscalls.make_read_only(mount_point)


def make_on_host(path: str, *, directory: bool) -> str:
    """Create a missing file or directory for a hostfs container; return its path without symbolic links.

    Root makes the file in the host's own file system. A symbolic link of another user in ``path`` could lead to any
    place on the host. Therefore the function raises `SetupFailed` for such a link. Raises OSError if the file cannot be
    made.
    """
    root = root_paths.open_root("/")
    try:
        return root_paths.ensure(root, path, directory=directory, own_links=True)
    except root_paths.ForeignLink as error:
        text = f"cannot make {path}: {error.filename} is a link of another user (name the path where it leads)"
        raise SetupFailed(OTHER, f"error during container init: {text}") from error
    finally:
        os.close(root)


def _open_source(path: str) -> int:
    try:
        return os.open(path, os.O_PATH)
    except OSError as error:
        text = f'invalid mount config for type "bind": bind source path does not exist: {path}'
        raise SetupFailed(OTHER, text, plain=True) from error


def _path_of(fd: int) -> str:
    return f"/proc/self/fd/{fd}"
