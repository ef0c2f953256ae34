"""The first process of a hostfs container, from fork to execve.

This process exchanges one-letter messages with the supervisor over one socket:

- It sends ``R`` when its namespaces exist.
- It builds its mount tree while the network is being configured, and waits for ``G``.
- If a terminal was requested, it sends ``T`` with the terminal's master.
- It executes the command, which closes the socket.
- If a step fails, it sends ``E`` with the reason.

If the supervisor ends before it sends ``G``, this process ends too.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import termios

from drivers.linux.namespaces import open_namespace
from engine.runtime import reaper, rootfs, shared_pids, syscalls
from engine.runtime.command import environment, execute, find_executable
from engine.runtime.credentials import Identity, assume, capability_mask, find_identity
from engine.runtime.errors import BAD_CWD, CREATE, NOT_FOUND, OTHER, SetupFailed, describe, message, reason
from engine.runtime.hidden_directories import hide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from engine.runtime.directory import Spec

READY, GO, TERMINAL, FAILED = b"R", b"G", b"T", b"E"


class ChildSetup:
    """The file descriptors that a container's forked process gets from the supervisor.

    - ``channel`` is a socket to the supervisor.
    - ``mounts`` and ``network`` are the mount and network namespaces of the client.
    - ``stdio`` are the standard input, output and error of the container.
    - ``program`` is a sealed (unchangeable) copy of crun for a container of an image or a directory, or -1 if none.
    """

    def __init__(
        self, channel: socket.socket, mounts: int, network: int, stdio: tuple[int, int, int], program: int
    ) -> None:
        self.channel, self.mounts, self.network, self.stdio, self.program = channel, mounts, network, stdio, program

    def descriptors(self) -> list[int]:
        """Return all file descriptors that the forked process must keep open."""
        program = [self.program] if self.program >= 0 else []
        return [self.channel.fileno(), self.mounts, self.network, *self.stdio, *program]


def run(spec: Spec, setup: ChildSetup) -> NoReturn:
    """Create a hostfs container's namespaces and mounts, wait for ``G``, and execute its command; never returns."""

    def start() -> None:
        syscalls.hide_process()
        enter_namespaces(spec, setup)
        send_mounts(spec, setup, READY)
        root = build_mounts(spec)
        if setup.channel.recv(1) == GO:
            close_all_but([*setup.descriptors(), root])
            finish(spec, setup, root)

    run_child(setup, start)


def send_mounts(spec: Spec, setup: ChildSetup, text: bytes, pid: int | str = "self") -> None:
    """Send the message ``text`` to the supervisor; with ``--pid host``, also send the mount namespace of a process.

    The namespace is sent as a file descriptor. Without it, the supervisor would have to open the namespace in /proc.
    The supervisor may lack the right to do so, because the process hides its links in /proc (`hide_process`). ``pid``
    is the pid of the process, or "self" for this process.
    """
    if not spec["pid_host"]:
        setup.channel.send(text)
        return
    fd = shared_pids.open_of(pid)
    socket.send_fds(setup.channel, [text], [fd])
    os.close(fd)


def run_child(setup: ChildSetup, start: Callable[[], None], clean_up: Callable[[], None] = lambda: None) -> NoReturn:
    """Call ``start`` in a child that the supervisor has just forked; never returns.

    ``start`` executes a program. If ``start`` fails, the supervisor gets the error and ``clean_up`` is called.
    """
    try:
        reaper.leave_parent()
        close_all_but(setup.descriptors())
        os.setsid()
        os.umask(0o022)
        syscalls.restore_limit()
        start()
    except SetupFailed as failure:
        report(setup.channel, failure, CREATE)
    except Exception as error:
        report(setup.channel, SetupFailed(OTHER, f"error during container init: {describe(error)}"), CREATE)
    finally:
        try:
            clean_up()
        finally:
            os._exit(1)  # the child process must never continue in the supervisor's code


def report(channel: socket.socket, error: Exception, prefix: str) -> None:
    """Send the reason why a container or command cannot start; ``prefix`` (`CREATE` or `EXEC`) begins the message."""
    failure = error if isinstance(error, SetupFailed) else SetupFailed(OTHER, describe(error))
    document = {"kind": failure.kind, "message": message(failure, prefix)}
    channel.send(FAILED + json.dumps(document).encode())


def close_all_but(kept: list[int]) -> None:
    """Close all file descriptors except those in ``kept`` and the standard streams (0 to 2)."""
    low = 3
    for fd in sorted({fd for fd in kept if fd > 2}):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1 << 20)


def silence() -> None:
    """Connect the standard streams (0 to 2) to the null device."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in range(3):
        os.dup2(null, number)
    if null > 2:
        os.close(null)


def enter_namespaces(spec: Spec, setup: ChildSetup) -> None:
    """Join or create the requested network namespace, and create new mount, UTS and IPC namespaces.

    The new mount namespace is a copy of the client's mount namespace. Also sets the host name and the domain name.
    """
    join_network(spec, setup)
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC)
    if spec["hostname"]:
        socket.sethostname(spec["hostname"])
    if spec["domainname"]:
        syscalls.set_domain_name(spec["domainname"])


def join_network(spec: Spec, setup: ChildSetup) -> None:
    """Join the client's mount namespace, and join or create the network namespace that ``spec`` requests.

    Raises `SetupFailed` if the requested path now leads to another network namespace (``netns_inode``). The file at the
    path may have been replaced. Or the path contains the pid of an ended process, and a new process has this pid.
    """
    syscalls.setns(setup.mounts, syscalls.CLONE_NEWNS)
    syscalls.setns(setup.network, syscalls.CLONE_NEWNET)
    if spec["netns"] == "":
        syscalls.unshare(syscalls.CLONE_NEWNET)
    elif spec["netns"] != "host":
        namespace = open_namespace(spec["netns"])
        if spec.get("netns_inode", 0) not in (0, os.fstat(namespace).st_ino):
            raise SetupFailed(OTHER, f"network namespace {spec['netns']} is gone: another one is there now")
        syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        os.close(namespace)


def build_mounts(spec: Spec) -> int:
    """Build the container's whole mount tree. The network may still be unconfigured at this time.

    Returns a file descriptor of the tree's root directory.
    """
    sources = rootfs.Sources(spec["mounts"], spec["files"])
    root = rootfs.enter_root(read_only=spec["read_only"])
    sources.hidden = hide(spec.get("hidden", ()))
    rootfs.populate(spec, sources)
    rootfs.bind_files(sources, read_only=spec["read_only"])
    if spec["netns"] == "":
        rootfs.apply_default_sysctls()
    if not spec["sysctls"]:
        hide_kernel(spec)
    return root


def hide_kernel(spec: Spec) -> None:
    """Hide the files in /proc and /sys that Docker hides.

    Nothing is hidden if the container is privileged, or if the user has turned hiding off.
    """
    if not spec["privileged"] and not spec["system_paths"]:
        rootfs.hide_kernel_paths()


def finish(spec: Spec, setup: ChildSetup, root: int) -> NoReturn:
    """Apply the container's sysctls, streams and rights, and execute its command; never returns.

    This is done after the network is configured. ``root`` is a file descriptor of the container's root directory.
    """
    if spec["sysctls"]:  # set sysctls only now, because some belong to interfaces, which did not exist earlier
        rootfs.apply_sysctls(spec["sysctls"], netns=spec["netns"])
        hide_kernel(spec)
    identity = find_identity(spec["user"], root)
    connect_streams(spec, setup, identity)
    make_working_directory(spec["cwd"])
    os.close(root)
    assume(identity, capability_mask(spec["cap_add"], spec["cap_drop"], privileged=spec["privileged"]))
    enter_working_directory(spec["cwd"])
    env = environment(spec["env"], identity.home)
    argv = [spec["init_path"], "--", *spec["argv"]] if spec["init_path"] else spec["argv"]
    if spec["no_new_privileges"]:
        syscalls.refuse_new_privileges()
    execute(find_executable(argv[0], env), argv, env)


def connect_streams(spec: Spec, setup: ChildSetup, identity: Identity) -> None:
    """Connect the standard streams to ``setup.stdio``, or to a new terminal.

    The master of a new terminal is sent to the supervisor. ``identity`` is the user of the command.
    """
    stdio = setup.stdio
    if spec["tty"]:
        master, slave = syscalls.open_terminal()
        socket.send_fds(setup.channel, [TERMINAL], [master])
        os.close(master)
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        console = os.path.realpath("/dev/console")
        os.close(os.open(console, os.O_WRONLY | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC, 0o620))
        syscalls.bind(os.ttyname(slave), console)
        stdio = (slave, slave, slave)
    for number, fd in enumerate(stdio):
        stream = rootfs.own_null(fd)
        if stream == fd:
            os.fchown(fd, identity.uid, -1)
        os.dup2(stream, number)


def make_working_directory(path: str) -> None:
    """Create the working directory if it is missing, as Docker does; raises `SetupFailed` if ``path`` is a file.

    Also raises `SetupFailed` for a missing directory to which a link of another user leads.
    """
    if os.path.isdir(path):
        return
    try:
        rootfs.make_on_host(path, directory=True)
    except NotADirectoryError as error:
        raise SetupFailed(BAD_CWD, f"Cannot mkdir: {path} is not a directory", plain=True) from error
    except OSError:
        return  # the root is read-only; `enter_working_directory` reports the error


def enter_working_directory(path: str) -> None:
    """Change to the working directory with the container's own rights; raises `SetupFailed`."""
    try:
        os.chdir(path)
    except OSError as error:
        kind = NOT_FOUND if isinstance(error, FileNotFoundError) else BAD_CWD
        raise SetupFailed(kind, f'chdir to cwd ("{path}") set in config.json failed: {reason(error)}') from error
