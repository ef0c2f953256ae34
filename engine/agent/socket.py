"""Where an agent is found: its lock, its socket and its log in HAWSE_RUN. Imports as little as a command can bear."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.paths import make_private_directory, open_private
from engine.runtime import peer

SOCKET, LOCK, LOG = "agent.sock", "agent.lock", "agent.log"


@contextmanager
def address(run_dir: str) -> Iterator[str]:
    """The socket's address: by way of the open directory, for a path may be longer than sun_path's 107 bytes."""
    directory = os.open(run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET}"
    finally:
        os.close(directory)


def prepare(run_dir: str) -> None:
    """Make the run directory (0700) where it is missing."""
    make_private_directory(Path(run_dir))


def lock(run_dir: str) -> int | None:
    """Take the agent's lock, held until the process ends; None where another agent has it."""
    fd = open_private(os.path.join(run_dir, LOCK), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def listen(run_dir: str) -> socket.socket:
    """Listen on the socket (0600); the caller holds the lock, so whatever is there is a dead agent's."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with address(run_dir) as name:
        with suppress(FileNotFoundError):
            os.unlink(name)
        mask = os.umask(0o177)
        try:
            listener.bind(name)
        finally:
            os.umask(mask)
    listener.listen(128)
    return listener


def connect(run_dir: str, timeout: float) -> socket.socket:
    """Connect to the agent; raises OSError where none listens, or another program in its place."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        with address(run_dir) as name:
            sock.connect(name)
        if not peer.is_genuine(sock):
            raise PermissionError(errno.EPERM, "not an agent of this user", run_dir)
    except OSError:
        sock.close()
        raise
    return sock
