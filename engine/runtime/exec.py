"""Execute another command in a hostfs container, without the supervisor.

The calling process forks twice. The first child enters the container's namespaces and exits with the command's exit
code. The second child is created in the container's pid namespace and becomes the command. Both children have their own
sessions, so that the command continues if the caller is interrupted, as with Docker. Processes of the container see the
second child in /proc. They cannot read its memory or its file descriptors, because the child hides both until it
executes the command.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import termios
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

from engine.model import ExecCreate
from engine.runtime import cgroup, keeper, process, protocol, root_paths, syscalls
from engine.runtime.api import LEFT, RuntimeFailure, Stdio
from engine.runtime.command import environment, execute, find_executable
from engine.runtime.credentials import Identity, assume, capability_mask, find_identity
from engine.runtime.directory import ContainerDirectory
from engine.runtime.errors import BAD_CWD, EXEC, SetupFailed
from engine.runtime.init import FAILED, TERMINAL, close_all_but, enter_working_directory, report
from engine.runtime.relay import relay
from engine.runtime.rootfs import own_null
from engine.runtime.stdio_proxy import open_streams

if TYPE_CHECKING:
    from engine.runtime.directory import Spec

_NAMESPACES = (
    syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID
)


def execute_in(
    directory: ContainerDirectory,
    pidfd: int,
    spec: Spec,
    request: ExecCreate,
    stdio: Stdio,
    ended: Callable[[int], object] | None,
) -> int:
    """Run ``request`` in a container, and return the exit code of the command.

    ``pidfd`` refers to the container's first process. ``stdio`` has the caller's own standard streams. Raises
    `RuntimeFailure` if the command cannot be executed. In two cases, the function returns before the command's end:

    - The request is to run detached: returns 0 immediately.
    - The user types the detach keys (ctrl-p ctrl-q): returns `LEFT`. At the command's end, another process calls
      ``ended`` with the exit code.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, ExitStack() as stack:
        shield = open_streams(stack, request, stdio)
        middle = keeper.fork(lambda: _enter(directory, theirs, pidfd, spec, request, shield.theirs), ended, stack)
        theirs.close()
        shield.close_command_ends()
        try:
            master = _await_exec(ours)
        except RuntimeFailure:
            os.waitpid(middle, 0)
            raise
        if master < 0:
            shield.relay(middle)
        elif relay(master, middle, stdio, request) and not request.detach:
            return LEFT
        return process.exit_code(os.waitpid(middle, 0)[1])


def _await_exec(channel: socket.socket) -> int:
    """Wait until the command has been started; return a file descriptor of its terminal's master, or -1.

    The result is -1 for a command without a terminal. ``channel`` is the socket on which the child sends the terminal
    or an error. Raises `RuntimeFailure` if the command cannot be executed.
    """
    master = -1
    while True:
        data, fds = protocol.receive_with_fds(channel)
        if not data:
            return master
        if data.startswith(FAILED):
            failure = json.loads(data[1:])
            raise RuntimeFailure(failure["kind"], failure["message"])
        (master,) = fds


def _enter(
    directory: ContainerDirectory,
    channel: socket.socket,
    pidfd: int,
    spec: Spec,
    request: ExecCreate,
    streams: Sequence[int],
) -> NoReturn:
    """Enter the container's namespaces, fork the command in them, and exit with the command's exit code.

    ``pidfd`` refers to the container's first process. ``streams`` are the command's standard streams. On ``channel``,
    the caller gets the command's terminal, or an error.
    """
    try:
        os.setsid()
        syscalls.hide_process()
        if spec["pid_host"]:
            cgroup.enter(directory.path)
        syscalls.setns(pidfd, _NAMESPACES)
        inner = os.fork()
        if inner == 0:
            close_all_but([channel.fileno(), *streams])
            _become_command(channel, spec, request, streams)
        # Close all descriptors, because one may be the user's terminal. This process lives until the command ends, even
        # if the caller ends before. With an open terminal, the program at the terminal's other end, such as script(1),
        # would get no end-of-file until then.
        os.closerange(0, 1 << 20)
        code = 0 if request.detach else process.exit_code(os.waitpid(inner, 0)[1])
        os._exit(code)
    except Exception as error:
        report(channel, error, EXEC)
    finally:
        os._exit(1)


def _become_command(channel: socket.socket, spec: Spec, request: ExecCreate, streams: Sequence[int]) -> NoReturn:
    try:
        os.setsid()
        os.umask(0o022)
        cwd = working_directory(spec, request)
        root = root_paths.open_root("/")
        identity = find_identity(request.user or spec["user"], root)
        os.close(root)
        _connect(channel, streams, identity, tty=request.tty)
        privileged = request.privileged or spec["privileged"]
        assume(identity, capability_mask(spec["cap_add"], spec["cap_drop"], privileged=privileged))
        enter_working_directory(cwd)
        if spec["no_new_privileges"]:
            syscalls.refuse_new_privileges()
        env = exec_environment(spec, request, identity)
        execute(find_executable(request.cmd[0], env), request.cmd, env)
    except Exception as error:
        report(channel, error, EXEC)
    finally:
        os._exit(1)


def working_directory(spec: Spec, request: ExecCreate) -> str:
    """Return the directory in which the command of ``request`` starts; raises `SetupFailed` for a relative path.

    If the request names no directory, the result is the container's working directory.
    """
    cwd: str = request.working_dir or spec["cwd"]
    if not cwd.startswith("/"):
        raise SetupFailed(BAD_CWD, f"{EXEC}Cwd must be an absolute path: unknown", plain=True)
    return cwd


def exec_environment(spec: Spec, request: ExecCreate, identity: Identity) -> dict[str, str]:
    """Return the environment of a command in a container; ``identity`` is the command's user.

    The environment has these variables. If a name occurs twice, the later variable is used.

    - With a terminal: TERM=xterm.
    - The container's variables. An entry NAME of the request, without "=", removes the container's variable NAME.
    - The variables of the request.
    - If HOME is then missing or empty: HOME, the home directory of the user.
    """
    terminal = ["TERM=xterm"] if request.tty else []
    unset = {entry for entry in request.env if "=" not in entry}
    container = [entry for entry in spec["env"] if entry.partition("=")[0] not in unset]
    return environment([*terminal, *container, *request.env], identity.home)


def _connect(channel: socket.socket, streams: Sequence[int], identity: Identity, *, tty: bool) -> None:
    if tty:
        master, slave = syscalls.open_terminal()
        socket.send_fds(channel, [TERMINAL], [master])
        os.close(master)
        os.fchown(slave, identity.uid, -1)
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        streams = (slave, slave, slave)
    copies = [os.dup(own_null(fd)) for fd in streams]  # copy first: dup2 may overwrite a descriptor in ``streams``
    for number, fd in enumerate(copies):
        os.dup2(fd, number)
