"""The process that creates the container of an image or a directory with crun.

This process exchanges one-letter messages with the supervisor over one socket:

- It sends ``R`` when the network namespace exists.
- It lets crun create everything else while the network is being configured.
- If a terminal was requested, it sends ``T`` with the terminal's master.
- It sends ``P`` with the pid of the container's first process. The first process waits for ``crun start``.
- When it receives ``G``, it executes ``crun start``, which lets the first process execute the command.
- If a step fails, it sends ``E`` with the reason.

If the supervisor ends before it sends ``G``, the container ends too. This process resolves all paths in the container's
root before it passes them to crun. The resolved paths have no symbolic links, see `root_paths`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat

from drivers.linux import process
from engine.eventloop.readiness import wait_readable
from engine.runtime import crun, oci, peer, protocol, root_paths, rootfs, syscalls
from engine.runtime.credentials import find_identity
from engine.runtime.directory import ContainerDirectory
from engine.runtime.errors import BAD_CWD, OTHER, SetupFailed, reason
from engine.runtime.init import GO, READY, TERMINAL, close_all_but, join_network, run_child, send_mounts, silence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from engine.runtime.directory import Spec
    from engine.runtime.init import ChildSetup

PREPARED = b"P"

_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")


def run(spec: Spec, setup: ChildSetup, directory: ContainerDirectory) -> NoReturn:
    """Let crun create the container. When the supervisor sends ``G``, start the container. Never returns."""
    first_process: list[int] = []

    def start() -> None:
        syscalls.adopt_orphans()  # become the parent of the container's first process when crun ends
        join_network(spec, setup)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        setup.channel.send(READY)
        pid = _create(spec, setup, directory)
        first_process.append(pid)
        document = {"pid": pid, "start": process.start_time(pid)}
        send_mounts(spec, setup, PREPARED + json.dumps(document).encode(), pid)
        if _may_start(setup, pid):
            _start(spec, directory, pid, _program(setup))

    def kill() -> None:
        for pid in first_process:
            os.kill(pid, signal.SIGKILL)

    run_child(setup, start, kill)


def _may_start(setup: ChildSetup, first: int) -> bool:
    """Wait for the supervisor's message ``G``, which allows the start of the container; return whether it has arrived.

    Returns False if the supervisor or the container's first process (the pid ``first``) ends before the message
    arrives.
    """
    channel, pidfd = setup.channel.fileno(), os.pidfd_open(first)
    ready = wait_readable([channel, pidfd])
    os.close(pidfd)
    return channel in ready and setup.channel.recv(1) == GO


def _start(spec: Spec, directory: ContainerDirectory, first: int, program: int | str) -> NoReturn:
    if spec["sysctls"]:  # set sysctls only now, because some belong to interfaces, which did not exist earlier
        pidfd = os.pidfd_open(first)
        syscalls.setns(pidfd, syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS)
        rootfs.apply_sysctls(spec["sysctls"], netns=spec["netns"])
    silence()
    os.execve(program, crun.start_arguments(directory), crun.ENVIRONMENT)


def _program(setup: ChildSetup) -> int | str:
    """Return a file descriptor of the sealed copy of crun, or crun's path if the supervisor has passed no copy.

    Raises `SetupFailed` if crun is not installed.
    """
    return setup.program if setup.program >= 0 else crun.find_program()


def _create(spec: Spec, setup: ChildSetup, directory: ContainerDirectory) -> int:
    """Let crun create the container, and return the pid of the container's first process."""
    program = _program(setup)
    syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    devices = os.open("/dev", os.O_PATH | os.O_CLOEXEC)
    rootfs.show_unified_groups()
    if spec["netns"] == "":
        rootfs.apply_default_sysctls()
    document, targets = _configure(spec, directory, devices)
    directory.write("config.json", document)
    log = os.memfd_create("log", 0)
    listener = peer.listening_socket(directory.path, "console") if spec["tty"] else None
    arguments = crun.create_arguments(directory, log, directory.file("console") if listener else "")
    child = _spawn(program, arguments, setup.stdio, log)
    _, status = os.waitpid(child, 0)
    if status:
        failure = crun.failure(log, command=spec["argv"][0], cwd=spec["cwd"], targets=targets)
        raise failure or SetupFailed(OTHER, "error during container init: crun was killed")
    if listener is not None:
        _pass_terminal(listener, setup.channel)
    with open(directory.file("pid"), encoding="ascii") as file:
        first = int(file.read())
    _seal(first, os.path.realpath(directory.file("rootfs")))
    return first


def _seal(first: int, root: str) -> None:
    """Set the mount flags (such as nosuid) of the container's root again, because crun drops these flags.

    This process enters the mount namespace of the container's first process (the pid ``first``) for a moment. Raises
    `SetupFailed` if the container's root has more than one mount, or is not the directory ``root``.
    """
    flags = os.statvfs(root).f_flag & (os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    namespace, pidfd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), os.pidfd_open(first)
    syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
    try:
        syscalls.restrict("/", flags, tree=False)  # the flags ST_… of statvfs have the same values as MOUNT_ATTR_…
        shown = os.stat("/")
    finally:
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
    with open(f"/proc/{first}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        roots = sum(line.split()[4] == "/" for line in file)
    if roots != 1 or not os.path.samestat(shown, os.stat(root)):
        raise SetupFailed(OTHER, "error during container init: the root of the container is not its own")


def _spawn(program: int | str, arguments: list[str], stdio: tuple[int, int, int], log: int) -> int:
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            syscalls.die_with_parent(parent)
            for number, fd in enumerate(stdio):
                os.dup2(fd, number)
            close_all_but([log, *([program] if isinstance(program, int) else [])])
            os.set_inheritable(log, True)
            os.execve(program, arguments, crun.ENVIRONMENT)
        finally:
            os._exit(1)
    return child


def _pass_terminal(listener: socket.socket, channel: socket.socket) -> None:
    """Receive the container's terminal from crun, and send the terminal to the supervisor.

    crun connects to ``listener``. ``channel`` is the socket to the supervisor.
    """
    connection, _ = listener.accept()
    with connection:
        _, fds = protocol.receive_with_fds(connection)
    socket.send_fds(channel, [TERMINAL], fds[:1])


# -------------------------------------------------------------------------------------------------------- the root


def _configure(spec: Spec, directory: ContainerDirectory, devices: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Mount the container's root and device tree, and make crun's configuration.

    ``devices`` is a file descriptor of the host's /dev. Returns the configuration, and a map from canonical mount
    points to the paths that the user gave.
    """
    root_path = os.path.realpath(directory.file("rootfs"))
    rootfs.mount_root(spec, root_path)
    root = root_paths.open_root(root_path)
    dev = os.path.realpath(directory.file("dev"))
    rootfs.make_devices(devices, dev, privileged=spec["privileged"], console=spec["tty"])
    targets = Targets(root, root_path, replace=bool(spec["overlay_dir"]))
    mounts = [
        oci.OciMount(source, targets.of(target, source, directory=False), read_only=spec["read_only"], devices=False)
        for target, source in spec["files"].items()
    ]
    for mount in sorted(spec["mounts"], key=lambda m: m["target"].count("/")):
        mounts.append(_user_mount(mount, targets, devices, privileged=spec["privileged"]))
    if spec["init_path"]:
        target = targets.of(oci.INIT, spec["init_path"], directory=False)
        mounts.append(oci.OciMount(spec["init_path"], target, read_only=True, devices=False))
    cwd = targets.working_directory(spec["cwd"])
    identity = find_identity(spec["user"], root)
    document = oci.configuration(spec, root_path, (dev, targets.dev), cwd, identity, mounts)
    return document, targets.names


def _user_mount(mount: Mapping[str, Any], targets: Targets, devices: int, *, privileged: bool) -> oci.OciMount:
    try:
        status = os.stat(mount["source"])
    except OSError as error:
        text = f'invalid mount config for type "bind": bind source path does not exist: {mount["source"]}'
        raise SetupFailed(OTHER, text, plain=True) from error
    target = targets.of(mount["target"], mount["source"], directory=stat.S_ISDIR(status.st_mode))
    shows_devices = privileged or rootfs.shows_devices(status, devices)
    return oci.OciMount(mount["source"], target, read_only=bool(mount["read_only"]), devices=shows_devices)


class Targets:
    """Makes the mount points in a container's root directory, and returns their canonical paths.

    Symbolic links in the path of a mount point are resolved with the container's root directory as "/".

    With ``replace`` (for a container with a writable layer), Docker's own mount points, such as /etc/hosts, are an
    exception. Symbolic links in their paths are replaced by real directories or files, as in Docker.
    """

    def __init__(self, root: int, root_path: str, *, replace: bool) -> None:
        self._root, self._root_path, self._replace = root, root_path, replace
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
        """Make the mount point ``path`` if it is missing, and return its canonical path.

        With ``directory``, the mount point is a directory, otherwise a file. ``source`` is the path that crun mounts
        there later; it is used only in the error message. Raises SetupFailed if the mount point cannot be made, or is
        the container's root directory or inside /proc.
        """
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
        """Return the canonical path of the working directory ``path``, and create the directory if it is missing.

        If the directory cannot be created (for example in a read-only root), returns ``path`` unchanged, and crun later
        reports the error. Raises SetupFailed if a part of ``path`` exists but is no directory.
        """
        try:
            return root_paths.ensure(self._root, path, directory=True, mounted=self._mounted)
        except (FileExistsError, NotADirectoryError) as error:
            raise SetupFailed(BAD_CWD, f"Cannot mkdir: {path} is not a directory", plain=True) from error
        except OSError:
            return path  # crun reports the error

    def _ensure(self, path: str, *, directory: bool) -> str:
        replace = self._replace and path in ("/proc", "/sys", "/dev", *_FILES)
        return root_paths.ensure(self._root, path, directory=directory, replace=replace, mounted=self._mounted)

    def _check(self, target: str, path: str, source: str) -> None:
        """Check the mount point ``path``; raises SetupFailed if it is the container's root directory or inside /proc.

        ``target`` is the canonical path of the mount point. ``source`` is the path that crun mounts there; it is used
        only in the error message.
        """
        if target == "/":
            text = f"change mount propagation through procfd: open o_path procfd: open {self._root_path}{path}: "
            raise crun.mount_failure(source, path, f"{text}no such file or directory")
        if target == "/proc" or target.startswith("/proc/"):
            text = f"create mount destination for {path} mount: check proc-safety of {path} mount: "
            why = f'"{self._root_path}{target}" cannot be mounted because it is inside /proc'
            raise crun.mount_failure(source, path, text + why)
