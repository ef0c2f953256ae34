"""The process that makes the container of an image or of a directory, by means of crun.

It talks with the supervisor over one socket: it sends ``R`` when the network namespace exists, has crun make everything
else while the network is being plumbed, and sends ``P`` with the first process, which waits. On ``G`` it becomes the
program that lets that process execute. Or it sends ``E`` and why not. When the supervisor goes away before ``G``, so
does the container.

What crun is given of the root has been resolved here: real directories, no symbolic link, see `beneath`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat

from engine.runtime import beneath, children, crun, descriptors, kernel, oci, process, rootfs, wire
from engine.runtime.credentials import find_identity
from engine.runtime.directory import ContainerDirectory
from engine.runtime.failure import BAD_CWD, OTHER, SetupFailed, describe, reason
from engine.runtime.init import GO, READY, TERMINAL, close_all_but, join_network, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from engine.runtime.init import Birth

PREPARED = b"P"

_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")


def run(spec: Mapping[str, Any], birth: Birth, directory: ContainerDirectory) -> NoReturn:
    """Have the container made, and started when the supervisor says so; never returns."""
    first = -1
    try:
        children.leave_parent()
        close_all_but(birth.descriptors())
        os.setsid()
        os.umask(0o022)
        descriptors.restore_limit()
        kernel.adopt_orphans()  # the first process, whose parent crun ends when it has been made
        join_network(spec, birth)
        kernel.unshare(kernel.CLONE_NEWNS)
        birth.channel.send(READY)
        first = _create(spec, birth, directory)
        started = process.start_time(first)
        birth.channel.send(PREPARED + json.dumps({"pid": first, "start": started}).encode())
        if _may_start(birth, first):
            _start(spec, directory, first)
    except SetupFailed as failure:
        report(birth.channel, failure)
    except Exception as error:
        report(birth.channel, SetupFailed(OTHER, f"error during container init: {describe(error)}"))
    finally:
        if first > 0:
            os.kill(first, signal.SIGKILL)
        os._exit(1)  # whatever went wrong: the supervisor's own code must never run on in here


def _may_start(birth: Birth, first: int) -> bool:
    """Wait for the order to start the container; return False if its first process or the supervisor ends before."""
    channel, pidfd = birth.channel.fileno(), os.pidfd_open(first)
    ready, _, _ = select.select([channel, pidfd], [], [])
    os.close(pidfd)
    return channel in ready and birth.channel.recv(1) == GO


def _start(spec: Mapping[str, Any], directory: ContainerDirectory, first: int) -> NoReturn:
    if spec["sysctls"]:  # some are of interfaces, which have only just come
        pidfd = os.pidfd_open(first)
        kernel.setns(pidfd, kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
        rootfs.apply_sysctls(spec["sysctls"], netns=spec["netns"])
    arguments = crun.start_arguments(directory.run, spec["id"])
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in range(3):
        os.dup2(null, number)
    os.execve(crun.find_program(), arguments, crun.ENVIRONMENT)


def _create(spec: Mapping[str, Any], birth: Birth, directory: ContainerDirectory) -> int:
    """Have crun make the container; its first process."""
    program = crun.find_program()
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    devices = os.open("/dev", os.O_PATH | os.O_CLOEXEC)
    rootfs.show_unified_groups()
    if spec["netns"] == "":
        rootfs.apply_default_sysctls()
    document, targets = _configure(spec, directory, devices)
    directory.write("config.json", document)
    log = os.memfd_create("log", 0)
    listener = _listen(directory) if spec["tty"] else None
    arguments = crun.create_arguments(
        directory.run,
        spec["id"],
        bundle=directory.path,
        log=f"/proc/self/fd/{log}",
        pid_file=directory.file("pid"),
        console=directory.file("console") if listener else "",
    )
    child = _spawn(program, arguments, birth.stdio, log)
    _, status = os.waitpid(child, 0)
    if status:
        text = os.pread(log, beneath.LARGEST, 0).decode("utf-8", "surrogateescape")
        failure = crun.failure(text, command=spec["argv"][0], cwd=spec["cwd"], targets=targets)
        raise failure or SetupFailed(OTHER, "error during container init: crun was killed")
    if listener is not None:
        _pass_terminal(listener, birth.channel)
    with open(directory.file("pid"), encoding="ascii") as file:
        first = int(file.read())
    _seal(first, os.path.realpath(directory.file("rootfs")))
    return first


def _seal(first: int, place: str) -> None:
    """Give the root the flags of its mount, which crun drops, and see that it is the only one that can be reached."""
    flags = os.statvfs(place).f_flag & (os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    own, pidfd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), os.pidfd_open(first)
    kernel.setns(pidfd, kernel.CLONE_NEWNS)
    try:
        kernel.restrict("/", flags, tree=False)  # the numbers are those of MOUNT_ATTR_…
        shown = os.stat("/")
    finally:
        kernel.setns(own, kernel.CLONE_NEWNS)
    with open(f"/proc/{first}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        roots = sum(line.split()[4] == "/" for line in file)
    if roots != 1 or not os.path.samestat(shown, os.stat(place)):
        raise SetupFailed(OTHER, "error during container init: the root of the container is not its own")


def _spawn(program: str, arguments: list[str], stdio: tuple[int, int, int], log: int) -> int:
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            kernel.die_with_parent()
            if os.getppid() != parent:  # it has ended already
                os._exit(1)
            for number, fd in enumerate(stdio):
                os.dup2(fd, number)
            close_all_but([log])
            os.set_inheritable(log, True)
            os.execve(program, arguments, crun.ENVIRONMENT)
        finally:
            os._exit(1)
    return child


def _listen(directory: ContainerDirectory) -> socket.socket:
    """Listen for the terminal, by way of the directory, since its path may be too long for a socket's name."""
    listener, path = socket.socket(socket.AF_UNIX), beneath.open_root(directory.path)
    listener.bind(f"/proc/self/fd/{path}/console")
    os.close(path)
    listener.listen(1)
    return listener


def _pass_terminal(listener: socket.socket, channel: socket.socket) -> None:
    """Give the supervisor the terminal that crun has left with us."""
    connection, _ = listener.accept()
    with connection:
        _, fds = wire.receive_with_fds(connection)
    socket.send_fds(channel, [TERMINAL], fds[:1])


# -------------------------------------------------------------------------------------------------------- the root


def _configure(
    spec: Mapping[str, Any], directory: ContainerDirectory, devices: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Mount the root and the tree of devices; the configuration, and the user's names of its mount points."""
    place = os.path.realpath(directory.file("rootfs"))
    rootfs.mount_root(spec, place)
    root = beneath.open_root(place)
    dev = os.path.realpath(directory.file("dev"))
    rootfs.make_devices(devices, dev, privileged=spec["privileged"], console=spec["tty"])
    targets = Targets(root, place, replace=bool(spec["overlay_dir"]))
    mounts = [
        oci.Mount(source, targets.of(target, source, directory=False), read_only=spec["read_only"], devices=False)
        for target, source in spec["files"].items()
    ]
    for mount in sorted(spec["mounts"], key=lambda m: m["target"].count("/")):
        mounts.append(_user_mount(mount, targets, devices, privileged=spec["privileged"]))
    if spec["init_path"]:
        target = targets.of(oci.INIT, spec["init_path"], directory=False)
        mounts.append(oci.Mount(spec["init_path"], target, read_only=True, devices=False))
    cwd = targets.working_directory(spec["cwd"])
    identity = find_identity(spec["user"], root)
    document = oci.configuration(spec, place, (dev, targets.dev), cwd, identity, mounts)
    return document, targets.names


def _user_mount(mount: Mapping[str, Any], targets: Targets, devices: int, *, privileged: bool) -> oci.Mount:
    try:
        found = os.stat(mount["source"])
    except OSError as error:
        text = f'invalid mount config for type "bind": bind source path does not exist: {mount["source"]}'
        raise SetupFailed(OTHER, text, plain=True) from error
    target = targets.of(mount["target"], mount["source"], directory=stat.S_ISDIR(found.st_mode))
    shows_devices = privileged or rootfs.shows_devices(found, devices)
    return oci.Mount(mount["source"], target, read_only=bool(mount["read_only"]), devices=shows_devices)


class Targets:
    """Where things are mounted in a root: real places, made where they are missing.

    In a writable layer, ``replace`` makes symbolic links on the way to Docker's own places real directories, as Docker
    does. The user's own targets are resolved beneath the root.
    """

    def __init__(self, root: int, place: str, *, replace: bool) -> None:
        self._root, self._place, self._replace = root, place, replace
        self.names: dict[str, str] = {}
        self._mounted: set[str] = set()
        for path, kind in (("/proc", "proc"), ("/sys", "sysfs")):
            if self._ensure(path, directory=True) != path:
                why = f'filesystem "{kind}" must be mounted on ordinary directory'
                raise crun.mount_failure(kind, path, why)
        self.dev = self._ensure("/dev", directory=True)
        self._check(self.dev, "/dev", "tmpfs")
        self._mounted = {"/proc", "/sys", self.dev}

    def of(self, path: str, source: str, *, directory: bool) -> str:
        """The canonical target of a mount of ``source`` at ``path``; raises `SetupFailed`."""
        try:
            target = self._ensure(path, directory=directory)
        except OSError as error:
            why = f"mount {source}:{path}, flags: 0x5000: {reason(error)}"
            raise crun.mount_failure(source, path, why) from error
        self._check(target, path, source)
        self._mounted.add(target)
        self.names[target] = path
        return target

    def working_directory(self, path: str) -> str:
        """The canonical working directory, made where it is missing, unless the root is read-only."""
        try:
            return beneath.ensure(self._root, path, directory=True, mounted=self._mounted)
        except (FileExistsError, NotADirectoryError) as error:
            raise SetupFailed(BAD_CWD, f"Cannot mkdir: {path} is not a directory", plain=True) from error
        except OSError:
            return path  # crun will tell

    def _ensure(self, path: str, *, directory: bool) -> str:
        replace = self._replace and path in ("/proc", "/sys", "/dev", *_FILES)
        return beneath.ensure(self._root, path, directory=directory, replace=replace, mounted=self._mounted)

    def _check(self, target: str, path: str, source: str) -> None:
        """Refuse to cover the root itself, or what is not ours in /proc."""
        if target == "/":
            text = f"change mount propagation through procfd: open o_path procfd: open {self._place}{path}: "
            raise crun.mount_failure(source, path, f"{text}no such file or directory")
        if target == "/proc" or target.startswith("/proc/"):
            text = f"create mount destination for {path} mount: check proc-safety of {path} mount: "
            why = f'"{self._place}{target}" cannot be mounted because it is inside /proc'
            raise crun.mount_failure(source, path, text + why)
