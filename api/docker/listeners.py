"""The sockets on which the service listens: a unix socket, and TCP only with mutual TLS."""

from __future__ import annotations

import grp
import os
import socket
import stat
from contextlib import suppress
from errno import EEXIST
from pathlib import Path

from msgspec import Struct

from engine.errors import EngineError, InvalidArgument, Unavailable, reason_of
from engine.paths import api_socket, make_private_directory, run_directory
from engine.runtime import resident

BACKLOG = 512
GROUP_LIMIT = 2**32 - 2  # the largest group id; for chown(2), 2**32 - 1 means "do not change"


class Settings(Struct, frozen=True):
    """The flags of ``hawse system service``.

    - ``path``: the path of the unix socket, or "" for none
    - ``group``: the group that may use the unix socket, or ""
    - ``address``: HOST:PORT for TCP, or "" for none
    - ``cacert``: the file with the certificate of the authority (CA) that signs the clients' certificates
    - ``cert``, ``key``: the files with the certificate and the private key of the service
    """

    path: str = ""
    group: str = ""
    address: str = ""
    cacert: str = ""
    cert: str = ""
    key: str = ""


def inherited_listeners() -> list[socket.socket]:
    """Return the listening sockets that systemd passed to this process, or [] without socket activation."""
    if not resident.is_socket_activated():
        return []
    del os.environ["LISTEN_PID"]
    number = int(os.environ.pop("LISTEN_FDS", "0") or 0)
    first = resident.FIRST_LISTEN_DESCRIPTOR
    return [socket.socket(fileno=fd) for fd in range(first, first + number)]


def unix_listener(settings: Settings) -> socket.socket:
    """Listen on the unix socket, which has mode 0660 and belongs to root and the group.

    Raises EngineError if another process listens on the socket, or if the socket cannot be made. If the socket is in
    HAWSE_RUN, the group also gets the right to enter this directory.
    """
    path = Path(settings.path).absolute()
    group = _group(settings.group)
    if path == api_socket():
        make_private_directory(path.parent)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        _remove_old_socket(path)
        listener.bind(str(path))
        _open_to_group(path, group or 0)
        if group is not None and path.parent == run_directory():
            os.chown(path.parent, -1, group)
            os.chmod(path.parent, 0o710)
    except OSError as error:
        raise Unavailable(f"cannot listen on {path}: {reason_of(error)}") from error
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    return listener


def _open_to_group(path: Path, group: int) -> None:
    """Give the new socket to root and a group, with mode 0660; raises OSError.

    ``group`` is a group id. If the settings name no group, it is 0, the group of root. The group 0 must be set too,
    because a directory with the set-group-ID bit gives its own group to new files.

    The owner of the directory may replace the socket by another file. Because the socket is changed through a file
    descriptor, that other file is not changed.
    """
    file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(file).st_mode):
            raise FileExistsError(EEXIST, os.strerror(EEXIST))
        os.chown(f"/proc/self/fd/{file}", 0, group)
        os.chmod(f"/proc/self/fd/{file}", 0o660)
    finally:
        os.close(file)


def tcp_listener(settings: Settings) -> socket.socket:
    """Listen on the TCP address in ``settings`` (HOST:PORT); raises EngineError if it is invalid or cannot be used."""
    host, _, port = settings.address.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except (OSError, ValueError, OverflowError) as error:
        raise Unavailable(f"cannot listen on tcp://{settings.address}: {error}") from error


def _group(name: str) -> int | None:
    """Return the id of the group with this name or number, or None for ""; raises EngineError for an unknown group."""
    if not name:
        return None
    with suppress(KeyError, ValueError):
        group = int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
        if group <= GROUP_LIMIT:
            return group
    raise InvalidArgument(f"group {name} not found")


def _remove_old_socket(path: Path) -> None:
    """Remove the socket of a service that has ended.

    Raises EngineError if another process listens on the socket, or if the file is no socket.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise EngineError(f"cannot listen on {path}: the file exists and is no socket")
    except FileNotFoundError:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.setblocking(False)
    with probe, suppress(ConnectionRefusedError, FileNotFoundError):
        with suppress(BlockingIOError):  # the listener's backlog is full
            probe.connect(str(path))
        raise EngineError(f"cannot listen on {path}: another process listens there")
    with suppress(FileNotFoundError):
        os.unlink(path)
