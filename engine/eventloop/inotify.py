"""Report file changes by inotify(7). Because Python has no inotify module, this module uses ctypes."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Callable

from engine.eventloop.loop import Loop, Timer

MODIFY, CLOSE_WRITE = 0x2, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
MASK_ADD = 0x20000000
OVERFLOW, IGNORED = 0x4000, 0x8000
EXHAUSTED = (errno.EMFILE, errno.ENOSPC)
"""The errors of inotify_init1(2) and inotify_add_watch(2) if the user has no descriptor or no watch left."""
EVENT = struct.Struct("iIII")
TIMER_SECONDS = 1
_TIMER = struct.Struct("@4l")  # itimerspec

Seen = Callable[[str, int], None]
"""A function that is called for an inotify event, with the name in the watched directory and the event's mask.

The name is "" if the watched path itself has changed, or if changes were missed (`Inotify.add`).
"""


class InotifyWatch:
    """A registration for changes of one path; several registrations may share one kernel watch.

    - ``mask``: the inotify events to report, such as `CREATE`.
    - ``seen``: the function to call for each event.
    - ``number``: the number of the kernel watch, or -1 while the kernel has no free watch.
    """

    __slots__ = ("mask", "number", "path", "seen")

    def __init__(self, path: str, mask: int, seen: Seen) -> None:
        self.path, self.mask, self.seen, self.number = path, mask, seen, -1


class Inotify:
    """All inotify watches of one process (the agent or the warm server) on one file descriptor.

    The descriptor is opened for the first watch. All processes of a user share a limited number of descriptors
    (fs.inotify.max_user_instances) and of watches (fs.inotify.max_user_watches). Root in a container is the same user
    as root on the host. Therefore a container may take all descriptors or watches. If none is left, a registration
    waits, and is tried again every `TIMER_SECONDS` seconds.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        self._watches: dict[int, list[InotifyWatch]] = {}
        self._waiting: list[InotifyWatch] = []
        self._timer: Timer | None = None

    def add(self, path: str, mask: int, seen: Seen) -> InotifyWatch:
        """Watch a file or directory and call ``seen`` for each event; raises OSError if the path does not exist.

        ``mask`` has the inotify events to report, such as `CREATE`. Changes can be missed in two cases:

        - The kernel has no watch left, so the watch begins later than this call.
        - The kernel drops events.

        In both cases, ``seen`` is called afterwards with the name "" and the mask 0. If the path no longer exists, this
        mask is `DELETE_SELF`.

        Registrations for the same path share one kernel watch. Therefore ``seen`` is also called for the events that
        another registration has asked for.
        """
        watch = InotifyWatch(path, mask, seen)
        code = self._register(watch)
        if code and (code not in EXHAUSTED or not os.path.exists(path)):
            raise OSError(code, os.strerror(code), path)
        if code:
            self._waiting.append(watch)
            self._try_later()
        return watch

    def _register(self, watch: InotifyWatch) -> int:
        """Ask the kernel to watch a path; return 0, or the kernel's error number (errno) if it refuses."""
        if self._fd < 0:
            fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if fd < 0:
                return ctypes.get_errno()
            self._fd = fd
            self._loop.watch(self._fd, lambda _: self.read())
        mask = ctypes.c_uint32(watch.mask | MASK_ADD)
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(watch.path), mask)
        if number < 0:
            return ctypes.get_errno()
        watch.number = number
        self._watches.setdefault(number, []).append(watch)
        return 0

    def _try_later(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._loop.after(TIMER_SECONDS, self._try_again)

    def _try_again(self) -> None:
        """Try each waiting registration again; stop when the user has no inotify descriptor or watch left.

        If the kernel now watches the path, calls the registration's function with the name "" and the mask 0. If the
        path cannot be watched any more, the mask is `DELETE_SELF`, and the registration ends.
        """
        self._timer = None
        for watch in list(self._waiting):
            if watch not in self._waiting:
                continue  # the function of another watch has removed it
            code = self._register(watch)
            if code in EXHAUSTED:
                break
            self._waiting.remove(watch)
            watch.seen("", DELETE_SELF if code else 0)
        self._try_later()

    def remove(self, watch: InotifyWatch) -> None:
        """Remove one registration; idempotent."""
        if watch in self._waiting:
            self._waiting.remove(watch)
        sharing = self._watches.get(watch.number, [])
        if watch in sharing:
            sharing.remove(watch)
            if not sharing:
                del self._watches[watch.number]
                self._libc.inotify_rm_watch(self._fd, watch.number)

    def read(self) -> None:
        """Call the functions that are registered for the pending inotify events; does not block."""
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        at = 0
        while at + EVENT.size <= len(data):
            number, mask, _cookie, length = EVENT.unpack_from(data, at)
            name = data[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0")
            at += EVENT.size + length
            for watch in list(self._watches.get(number, ())):
                watch.seen(os.fsdecode(name), mask)
            if mask & OVERFLOW:
                self._tell_all()
            if mask & IGNORED:
                self._watches.pop(number, None)

    def _tell_all(self) -> None:
        """Call the function of each registration, because the kernel has dropped events, and any path may have changed.

        The functions get the name "", and the mask 0, or `DELETE_SELF` if the path does not exist.
        """
        for watch in [watch for sharing in self._watches.values() for watch in sharing]:
            if watch in self._watches.get(watch.number, ()):  # the function of another watch may have removed it
                watch.seen("", 0 if os.path.exists(watch.path) else DELETE_SELF)

    def close(self) -> None:
        """Close the inotify file descriptor."""
        self._waiting = []
        if self._timer is not None:
            self._timer.cancel()
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1


def watch_directory(directory: str | os.PathLike[str], mask: int) -> int:
    """Return a file descriptor that becomes readable when files in a directory change; the caller closes it.

    ``mask`` has the inotify events to report. A read of the descriptor blocks until a file changes. If the user has no
    inotify descriptor or no watch left, the result is a timer that becomes readable every `TIMER_SECONDS` seconds. By
    default, a user may open 128 inotify descriptors (fs.inotify.max_user_instances). Raises OSError, for example if the
    directory is missing.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_CLOEXEC)
    if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(directory), ctypes.c_uint32(mask)) >= 0:
        return fd
    code = ctypes.get_errno()
    os.close(fd) if fd >= 0 else None
    if code in EXHAUSTED and os.path.isdir(directory):
        return _timer(libc)
    raise OSError(code, os.strerror(code), os.fspath(directory))


def _timer(libc: ctypes.CDLL) -> int:
    """Return a file descriptor (timerfd) that becomes readable every `TIMER_SECONDS` seconds; raises OSError."""
    fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC)
    period = _TIMER.pack(TIMER_SECONDS, 0, TIMER_SECONDS, 0)  # interval, then first expiry
    if fd < 0 or libc.timerfd_settime(fd, 0, period, None) < 0:
        code = ctypes.get_errno()
        os.close(fd) if fd >= 0 else None
        raise OSError(code, os.strerror(code))
    return fd
