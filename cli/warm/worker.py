"""A forked child of the warm server: it takes over a launcher's context, runs one command and reports the exit code."""

from __future__ import annotations

import io
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import NoReturn

from cli.app import App
from cli.launcher.launch import EXITED, GO, MESSAGE, READY, REFUSED, SERVER_TIMEOUT_SECONDS, WELCOME, identity, message
from cli.root import INTERRUPTED, revive
from cli.root import run as run_command
from cli.warm import process_attributes
from cli.warm.prefault import warm_up
from cli.warm.request import MalformedRequest, WarmRequest, receive
from engine.runtime import peer, prefork, syscalls

CONNECTION = 3  # the descriptor of the connection to the launcher in a forked child
MODES = ("r", "w", "w")


def serve(connection: socket.socket, identity: peer.Identity) -> NoReturn:
    """Run the command of the launcher at the other end of ``connection`` in this new child; does not return.

    ``identity`` is the server's identity. A launcher with another identity is refused.
    """
    close_inherited(connection)
    serve_launcher(identity)


def wait_for_client(channel: socket.socket, identity: peer.Identity) -> NoReturn:
    """Warm up until the server sends a launcher's connection through ``channel``, then run the launcher's command.

    If the server closes the channel, this process exits. ``identity`` is the server's identity (see `serve`).
    """
    close_inherited(channel)
    try:
        channel = socket.socket(fileno=CONNECTION)
        warm_up(until=lambda: prefork.has_work(channel))
        descriptor = prefork.receive(channel)
        channel.close()
        os.dup2(descriptor, CONNECTION, inheritable=False)
        os.close(descriptor)
        serve_launcher(identity)
    finally:
        os._exit(1)


def close_inherited(kept: socket.socket) -> None:
    """Keep one socket as file descriptor 3, close all higher file descriptors, and reset the server's signal handlers.

    The closed file descriptors include the connections of other launchers. This process also moves to a new process
    group.
    """
    os.dup2(kept.fileno(), CONNECTION, inheritable=False)
    os.closerange(CONNECTION + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)  # leave the server's process group: it is orphaned, and the kernel ignores ctrl-Z in such a group


def serve_launcher(identity: peer.Identity) -> NoReturn:
    """Run the command of the launcher that is connected on file descriptor 3, then exit."""
    try:
        connection = socket.socket(fileno=CONNECTION)
        connection.settimeout(SERVER_TIMEOUT_SECONDS)
        arguments = negotiate(connection, identity)
        if arguments is not None:
            connection.settimeout(None)
            code = run(arguments)
            os.closerange(0, CONNECTION)  # readers of the output get end-of-file now, not when this process exits
            revive()
            if code:
                # A failed command may leave unfinished work, which counts as abandoned only after this process has
                # ended. The server sends the code then, so that the next command can finish the work.
                os._exit(code)
            connection.sendall(message(EXITED, code))
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # SIGINT came before or after the command; the server sends this code to the launcher
    finally:
        os._exit(1)  # the server reports this code as a failure, unless the child has already sent a result


def negotiate(connection: socket.socket, own_identity: peer.Identity) -> list[str] | None:
    """Take over the launcher's context and wait for the message GO; return the arguments of the command.

    The result is None in two cases:

    - The launcher's identity is not ``own_identity``, the request is invalid, or the context cannot be taken over. The
      launcher gets the message REFUSED.
    - The launcher sends another message than GO, or closes the connection.
    """
    try:
        with peer.process(connection) as launcher:
            if peer.identity(launcher) != own_identity:
                raise PermissionError
            welcome(connection)
            process_attributes.apply_process_attributes(
                launcher, connection, peer.credentials(connection)[2]
            )  # during this call, the launcher writes its request, which `receive` reads
        request = receive(connection)
        if request.identity != identity():
            raise MalformedRequest
        adopt_caller_context(request)
    except (MalformedRequest, OSError):
        connection.sendall(message(REFUSED))
        return None
    connection.sendall(message(READY))
    return request.arguments if connection.recv(MESSAGE, socket.MSG_WAITALL) == message(GO) else None


def welcome(connection: socket.socket) -> None:
    """Send the message WELCOME to the launcher, with a pidfd (a file descriptor for this process)."""
    process = os.pidfd_open(os.getpid())
    socket.send_fds(connection, [message(WELCOME)], [process])
    os.close(process)


def adopt_caller_context(request: WarmRequest) -> None:
    """Take over the launcher's namespaces, directories, streams and environment; raises OSError if this fails."""
    enter(request.mounts, "mnt", syscalls.CLONE_NEWNS)
    enter(request.network, "net", syscalls.CLONE_NEWNET)
    take_root(request.root)
    os.fchdir(request.directory)
    os.umask(request.umask)
    for fd in (request.mounts, request.network, request.root, request.directory):
        os.close(fd)
    take_streams(request.streams)
    for number in request.ignored:
        signal.signal(number, signal.SIG_IGN)
    os.environb.clear()
    os.environb.update(request.environment)
    time.tzset()


def take_root(root: int) -> None:
    """Change to the launcher's root directory, because entering a mount namespace has reset the root directory.

    ``root`` is a file descriptor of this directory. Raises PermissionError if this process has another root directory
    and may not change it.
    """
    os.fchdir(root)
    try:
        os.chroot(".")
    except PermissionError:
        if not same_file(root, "/"):
            raise


def enter(space: int, kind: str, flag: int) -> None:
    """Enter the namespace ``space`` (a file descriptor), unless this process is in that namespace already.

    ``kind`` is the name of the namespace type in /proc/PID/ns, such as "net". ``flag`` is its flag for setns(), such as
    CLONE_NEWNET.
    """
    if not same_file(space, f"/proc/self/ns/{kind}"):
        syscalls.setns(space, flag)


def same_file(fd: int, path: str) -> bool:
    """Return whether a file descriptor and a path refer to the same file."""
    left, right = os.fstat(fd), os.stat(path)
    return (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino)


def take_streams(streams: dict[int, int]) -> None:
    """Move the launcher's streams to the file descriptors 0, 1 and 2, and open Python's file objects on them.

    ``streams`` maps the numbers 0, 1 and 2 to the file descriptors of the received streams. If a number is missing, the
    launcher has closed this stream, and this process closes it too.
    """
    for number, mode in enumerate(MODES):
        name = ("stdin", "stdout", "stderr")[number]
        if number in streams:
            os.dup2(streams[number], number)
            os.close(streams[number])
            setattr(sys, name, io.open(number, mode, closefd=False, errors="surrogateescape"))  # noqa: SIM115, UP020
        else:
            os.close(number)
            setattr(sys, name, None)


def run(arguments: list[str]) -> int:
    """Run the command line; return the exit code that a new Python process would have."""
    try:
        return run_command(arguments, App()) & 0xFF
    except SystemExit as end:
        return end.code & 0xFF if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, AttributeError):
                stream.flush()
