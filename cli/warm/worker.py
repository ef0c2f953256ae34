"""One forked child: it becomes what the launcher is, runs one command, and reports its exit code."""

from __future__ import annotations

import io
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import NoReturn

from cli.app import App
from cli.launcher.launch import EXITED, GO, MESSAGE, READY, REFUSED, SERVER_TIMEOUT_SECONDS, WELCOME, identity, message
from cli.root import INTERRUPTED
from cli.root import run as run_command
from cli.warm import process_attributes
from cli.warm.prefault import warm_up
from cli.warm.request import Malformed, Request, receive
from engine.runtime import peer, syscalls

CONNECTION = 3
MODES = ("r", "w", "w")


def serve(connection: socket.socket, own: peer.Identity) -> NoReturn:
    """Serve one launcher, in the child; nothing of the server's is used after this."""
    close_inherited(connection)
    serve_launcher(own)


def wait_for_client(channel: socket.socket, own: peer.Identity) -> NoReturn:
    """Rehearse, then serve the launcher whose connection comes through the channel; end when none will come."""
    close_inherited(channel)
    try:
        channel = socket.socket(fileno=CONNECTION)
        warm_up(until=lambda: bool(select.select([channel], [], [], 0)[0]))
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not descriptors:
            os._exit(0)
        channel.close()
        os.dup2(descriptors[0], CONNECTION, inheritable=False)
        os.close(descriptors[0])
        serve_launcher(own)
    finally:
        os._exit(1)


def close_inherited(kept: socket.socket) -> None:
    """Close the server's descriptors, other launchers' connections among them, and take its signal handlers out."""
    os.dup2(kept.fileno(), CONNECTION, inheritable=False)
    os.closerange(CONNECTION + 1, max_descriptor())
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)  # a group whose parent lives in another one of the session can be stopped


def serve_launcher(own: peer.Identity) -> NoReturn:
    """Serve the launcher on the connection."""
    try:
        connection = socket.socket(fileno=CONNECTION)
        connection.settimeout(SERVER_TIMEOUT_SECONDS)
        arguments = negotiate(connection, own)
        if arguments is not None:
            connection.settimeout(None)
            code = run(arguments)
            os.closerange(0, CONNECTION)  # who reads our output need not wait for our memory to be torn down
            connection.sendall(message(EXITED, code))
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # the server tells it: a signal came before the command had begun, or after its end
    finally:
        os._exit(1)  # of no account where something was told: else the launcher is gone, or the command is not done


def max_descriptor() -> int:
    """One more than the highest descriptor that can be open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def negotiate(connection: socket.socket, own: peer.Identity) -> list[str] | None:
    """Become the launcher's equal and agree with it that the command runs here: its arguments, None if it doesn't."""
    try:
        with peer.process(connection) as launcher:
            if peer.identity(launcher) != own:
                raise PermissionError
            welcome(connection)
            process_attributes.apply_process_attributes(
                launcher, connection, peer.credentials(connection)[2]
            )  # while the launcher writes its request
        request = receive(connection)
        if request.identity != identity():
            raise Malformed
        adopt_caller_context(request)
    except (Malformed, OSError):
        connection.sendall(message(REFUSED))
        return None
    connection.sendall(message(READY))
    return request.arguments if connection.recv(MESSAGE, socket.MSG_WAITALL) == message(GO) else None


def welcome(connection: socket.socket) -> None:
    """Say which process this is."""
    process = os.pidfd_open(os.getpid())
    socket.send_fds(connection, [message(WELCOME)], [process])
    os.close(process)


def adopt_caller_context(request: Request) -> None:
    """Take the launcher's namespaces, directories, streams and environment; raises OSError."""
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
    """Take the launcher's root directory; entering a mount namespace has set it back."""
    os.fchdir(root)
    try:
        os.chroot(".")
    except PermissionError:
        if not same_file(root, "/"):
            raise


def enter(space: int, kind: str, flag: int) -> None:
    """Enter a namespace, where it is another one than ours."""
    if not same_file(space, f"/proc/self/ns/{kind}"):
        syscalls.setns(space, flag)


def same_file(fd: int, path: str) -> bool:
    """Tell whether a descriptor and a path are the same object."""
    left, right = os.fstat(fd), os.stat(path)
    return (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino)


def take_streams(streams: dict[int, int]) -> None:
    """Put the launcher's streams in place, with Python's files on them; what it had closed is closed here."""
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
    """Run the command line; the exit code that an interpreter would end with."""
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
