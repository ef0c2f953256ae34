"""A container's files under HAWSE_RUN, from which commands read the state of the container without the supervisor.

- ``spec`` is the description of the requested process, ``process`` has the pid of the process.
- ``started`` and ``exit`` hold the times of the start and the end; ``exit`` also has the exit code.
- ``stop`` is a request to end the process (see `stop_order`).
- ``stdin``, ``stdout`` and ``stderr`` are FIFOs.
- ``rootfs`` and ``dev`` are mount points.
- ``config.json`` is crun's input. crun writes ``pid``, and uses the socket ``console``.

Every JSON file is written atomically.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Spec = Mapping[str, Any]
    """A container's description as JSON values: the fields of `engine.runtime.api.ProcessSpec`, by name."""

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
_WRITERS = 100  # maximum attempts to remove a directory; an attempt fails if another process creates a file in it
_MOUNT_POINTS = ("rootfs", "dev")
CONTAINERS = "containers"
"""The subdirectory of HAWSE_RUN that holds the directories of all containers."""
ENDED = "ended"
"""The subdirectory of HAWSE_RUN that has an empty file for each ended container, named after the container's id.

Every command searches for ended containers. Because of these files, the command need not read the directories of all
running containers.
"""
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def crun_root(run: str) -> str:
    """Return crun's own directory, with the state of all containers."""
    return os.path.join(run, "crun")


def open_own(path: str) -> int:
    """Open one of hawse's files for reading, and return its file descriptor; a symbolic link is not followed.

    Raises PermissionError if the file's owner is neither root nor this user.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if os.fstat(fd).st_uid in (0, os.geteuid()):
        return fd
    os.close(fd)
    raise PermissionError(errno.EPERM, "belongs to another user", path)


class DocumentDirectory:
    """A directory of JSON files."""

    def __init__(self, path: str) -> None:
        self.path = path

    def file(self, name: str) -> str:
        """Return the path of the file ``name`` in the directory."""
        return os.path.join(self.path, name)

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document to the file ``name`` atomically; does nothing if the directory has been removed.

        Raises OSError if the disk is full; an older file is then kept.
        """
        temporary = self.file(f".{name}.{os.getpid()}")
        try:
            fd = os.open(temporary, _WRITE | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return
        os.fchmod(fd, 0o600)  # set here, because open() applies the umask
        try:
            with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
                json.dump(document, file)
            os.replace(temporary, self.file(name))
        except FileNotFoundError:
            return
        except OSError:
            self.unlink(os.path.basename(temporary))
            raise

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the document in the file ``name``, or None if the file does not exist.

        Raises ValueError if the file is not a JSON object, and PermissionError if it belongs to another user.
        """
        try:
            with open(open_own(self.file(name)), encoding="utf-8", errors="surrogateescape") as file:
                document: dict[str, Any] = json.load(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not isinstance(document, dict):
            raise ValueError(f"not a JSON object: {self.file(name)}")
        return document

    def unlink(self, name: str) -> None:
        """Delete the file ``name``; idempotent."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(name))


class ContainerDirectory(DocumentDirectory):
    """The directory of the runtime's files for one container. `create` makes the directory, `remove` deletes it."""

    def __init__(self, run: str, container_id: str) -> None:
        if not container_id or not _ALLOWED.issuperset(container_id) or container_id.startswith("."):
            raise ValueError(f"not a container id: {container_id!r}")
        super().__init__(os.path.join(run, CONTAINERS, container_id))
        self.run, self.id = run, container_id
        self._ended = os.path.join(run, ENDED, container_id)

    def exists(self) -> bool:
        """Return whether the container's directory exists."""
        return os.path.isdir(self.path)

    def create(self, spec: Spec) -> None:
        """Create the container's directory and write ``spec`` to it; files of an earlier process are removed."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        for name in _MOUNT_POINTS if spec.get("rootfs", "/") != "/" else ():
            os.makedirs(self.file(name), mode=0o700, exist_ok=True)
        for name in ("process", "started", "exit", "stop", "pid", "console"):
            self.unlink(name)
        self._forget_end()
        self.write("spec", spec)

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document to the file ``name`` as `DocumentDirectory.write` does.

        For the name ``exit``, also creates an empty file in the directory `ENDED`. Commands list this directory to find
        ended containers.
        """
        if name == "exit":
            self._note_end()
        super().write(name, document)
        if name == "exit" and not self.exists():
            self._forget_end()

    def make_fifo(self, name: str) -> str:
        """Create the FIFO ``name`` in the container's directory if it does not exist, and return its path."""
        path = self.file(name)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        return path

    def remove(self) -> None:
        """Remove the container's directory and its content; idempotent.

        Also removes files that another process writes during the removal.
        """
        for _ in range(_WRITERS):
            try:
                self._empty()
                os.rmdir(self.path)
            except FileNotFoundError:
                self._forget_end()
                return
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise

    def _note_end(self) -> None:
        # Ignore errors, because this file is seldom needed. By this file, commands find an end that neither ``on_exit``
        # nor a client has handled.
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._ended), mode=0o700, exist_ok=True)
            os.close(os.open(self._ended, _WRITE | os.O_CLOEXEC, 0o600))

    def _forget_end(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._ended)

    def _empty(self) -> None:
        for name in os.listdir(self.path):
            if name in _MOUNT_POINTS:
                os.rmdir(self.file(name))
            else:
                self.unlink(name)
