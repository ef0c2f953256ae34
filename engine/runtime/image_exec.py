"""Execute another command in a container of an image or a directory, with crun and without the supervisor.

A child of the caller becomes crun in its own session. Therefore the command continues if the caller is interrupted, as
with Docker. The command in the container gets pipes instead of the caller's own file descriptors, see `stdio_proxy`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from engine.eventloop.readiness import wait_readable
from engine.model import ExecCreate
from engine.runtime import cgroup, crun, keeper, oci, peer, process, protocol, root_paths, rootfs, syscalls
from engine.runtime.api import LEFT, RuntimeFailure, Stdio
from engine.runtime.credentials import capability_mask, find_identity
from engine.runtime.directory import ContainerDirectory
from engine.runtime.errors import EXEC, NOT_FOUND, OTHER, SetupFailed, message
from engine.runtime.exec import exec_environment, working_directory
from engine.runtime.init import close_all_but
from engine.runtime.relay import relay
from engine.runtime.stdio_proxy import open_streams
from engine.runtime.terminal import size

if TYPE_CHECKING:
    from engine.runtime.directory import Spec

_UNSTARTED = 255
"""The exit code of crun if crun did not execute the command."""


def execute_in_image(
    directory: ContainerDirectory,
    spec: Spec,
    request: ExecCreate,
    stdio: Stdio,
    ended: Callable[[int], object] | None,
) -> int:
    """Run ``request`` in the container, and return the exit code of its command.

    ``stdio`` has the caller's own standard streams. Raises `RuntimeFailure` if the command cannot be executed. In two
    cases, the function returns before the command's end:

    - The request is to run detached: returns 0 immediately.
    - The user types the detach keys (ctrl-p ctrl-q): returns `LEFT`. At the command's end, another process calls
      ``ended`` with the exit code.
    """
    try:
        cwd = working_directory(spec, request)
        return _execute(directory, spec, request, stdio, _describe(directory, spec, request, cwd, stdio), ended)
    except SetupFailed as failure:
        raise RuntimeFailure(failure.kind, message(failure, EXEC)) from failure


def _describe(directory: ContainerDirectory, spec: Spec, request: ExecCreate, cwd: str, stdio: Stdio) -> dict[str, Any]:
    """Return the description of the requested process in the form that crun reads.

    ``cwd`` is the command's working directory.
    """
    try:
        root = _open_root(directory)
    except OSError as error:
        raise RuntimeFailure(OTHER, f"container {spec['id']} is not running") from error
    try:
        identity = find_identity(request.user or spec["user"], root)
        _check_directory(root, cwd)
    finally:
        os.close(root)
    privileged = request.privileged or spec["privileged"]
    capabilities = capability_mask(spec["cap_add"], spec["cap_drop"], privileged=privileged)
    env = exec_environment(spec, request, identity)
    document = oci.process(request.cmd, env, cwd, identity, capabilities, tty=request.tty)
    rows, columns = size(stdio.stdout) if request.tty else (0, 0)
    if rows and columns:
        document["consoleSize"] = {"height": rows, "width": columns}
    return {**document, "noNewPrivileges": spec["no_new_privileges"]}


def _open_root(directory: ContainerDirectory) -> int:
    """Open the container's root directory; return its file descriptor. Raises OSError if the container does not run."""
    known = directory.read("process") or {"pid": 0}
    return root_paths.open_root(f"/proc/{known['pid']}/root")


def _check_directory(root: int, path: str) -> None:
    """Check that the working directory ``path`` exists in the container; raises SetupFailed if it is missing.

    Without this check, crun would create the directory. ``root`` is a file descriptor of the container's root
    directory.
    """
    try:
        os.close(syscalls.open_in_root(root, path, os.O_PATH))
    except FileNotFoundError as error:
        text = f'chdir to cwd ("{path}") set in config.json failed: no such file or directory'
        raise SetupFailed(NOT_FOUND, text) from error
    except OSError:
        # An example is a path with a link in /proc, which `open_in_root` refuses. crun checks such a path later.
        return


def _execute(
    directory: ContainerDirectory,
    spec: Spec,
    request: ExecCreate,
    stdio: Stdio,
    document: Mapping[str, Any],
    ended: Callable[[int], object] | None,
) -> int:
    """Run crun with the process description ``document``, and return the exit code of the command.

    Returns early as `execute_in_image` does. Raises `SetupFailed` if crun cannot execute the command.
    """
    with ExitStack() as stack:
        log, order = (_memory(stack, name) for name in ("log", "process"))
        os.write(order, json.dumps(document).encode("utf-8", "surrogateescape"))
        shield = open_streams(stack, request, stdio, crun.may_be_error)
        terminal = stack.enter_context(Terminal(directory)) if request.tty else None
        console = terminal.path if terminal else ""
        arguments = crun.exec_arguments(directory, order, log, console, detach=request.detach)
        child = keeper.fork(lambda: _become_crun(directory, spec, arguments, shield.theirs, [log, order]), ended, stack)
        shield.close_command_ends()
        if terminal is None:
            shield.relay(child)
        elif _relay_terminal(terminal, child, request, stdio):
            return LEFT
        code = process.exit_code(os.waitpid(child, 0)[1])
        failure = crun.failure(log, command=request.cmd[0], cwd=document["cwd"], targets={}) if code else None
        if failure is not None:
            raise failure
        shield.release(crun.refusal(shield.held, request.cmd))
        return code


def _relay_terminal(terminal: Terminal, child: int, request: ExecCreate, stdio: Stdio) -> bool:
    """Copy between the user's terminal and the command's terminal until the command ends or the user detaches.

    ``child`` is the pid of crun. Returns True if the user detached.
    """
    master = terminal.receive(child)
    left = master >= 0 and relay(master, child, stdio, request)
    return left and not request.detach


def _become_crun(
    directory: ContainerDirectory, spec: Spec, arguments: list[str], streams: list[int], kept: list[int]
) -> NoReturn:
    try:
        os.setsid()
        if spec["pid_host"]:
            cgroup.enter(directory.path)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        rootfs.show_unified_groups()
        # copy first: dup2 may overwrite a descriptor in ``streams``
        copies = [_open_null(directory) if rootfs.is_null(fd) else os.dup(fd) for fd in streams]
        for number, fd in enumerate(copies):
            os.dup2(fd, number)
        close_all_but(kept)
        for fd in kept:
            os.set_inheritable(fd, True)
        os.execve(crun.find_program(), arguments, crun.ENVIRONMENT)
    finally:
        os._exit(_UNSTARTED)


def _open_null(directory: ContainerDirectory) -> int:
    """Open the container's /dev/null, or a new null device if the container has removed it; return its file descriptor.

    The caller has moved this process to a new mount namespace, because a new null device needs a temporary mount.
    """
    with suppress(OSError), ExitStack() as stack:
        root = _open_root(directory)
        stack.callback(os.close, root)
        file = syscalls.open_in_root(root, "dev/null", os.O_PATH)
        stack.callback(os.close, file)
        if rootfs.is_null(file):
            return os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC)
    return rootfs.new_null(directory.path)


class Terminal:
    """A temporary socket in the container's directory. crun sends the terminal of a command to this socket."""

    def __init__(self, directory: ContainerDirectory) -> None:
        name = f"console.{os.getpid()}"
        self.path = directory.file(name)
        self._listener = peer.listening_socket(directory.path, name)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:  # the container's directory has been removed
            return

    def receive(self, child: int) -> int:
        """Wait for crun to send the master of the command's terminal, and return it as a file descriptor.

        Returns -1 if ``child``, the process of crun, ends without sending the master.
        """
        pidfd = os.pidfd_open(child)
        try:
            wait_readable([self._listener, pidfd])
            self._listener.setblocking(False)
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return -1
        finally:
            os.close(pidfd)
        connection.setblocking(True)
        with connection:
            _, fds = protocol.receive_with_fds(connection)
        return fds[0] if fds else -1


def _memory(stack: ExitStack, name: str) -> int:
    fd = os.memfd_create(name)
    stack.callback(os.close, fd)
    return fd
