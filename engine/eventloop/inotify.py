"""Tells when files change (inotify(7)), on the agent's loop; ctypes, because Python has no binding of its own."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable

from engine.eventloop.loop import Loop

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
MASK_ADD = 0x20000000
IGNORED = 0x8000
EVENT = struct.Struct("iIII")

Seen = Callable[[str, int], None]
"""Called with the name within the watched directory ("" for the watched file itself) and the event's mask."""


class Watch:
    """One interest in one path; several may share the kernel's watch."""

    __slots__ = ("number", "seen")

    def __init__(self, number: int, seen: Seen) -> None:
        self.number, self.seen = number, seen


class Inotify:
    """All watches of the agent on one descriptor, made when the first is added."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        self._watches: dict[int, list[Watch]] = {}

    def add(self, path: str, mask: int, seen: Seen) -> Watch:
        """Watch a file or directory; raises OSError where it does not exist."""
        if self._fd < 0:
            self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            self._loop.watch(self._fd, lambda _: self.read())
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask | MASK_ADD))
        if number < 0:
            errno = ctypes.get_errno()
            raise OSError(errno, os.strerror(errno), path)
        watch = Watch(number, seen)
        self._watches.setdefault(number, []).append(watch)
        return watch

    def remove(self, watch: Watch) -> None:
        """End one interest; idempotent."""
        sharing = self._watches.get(watch.number, [])
        if watch in sharing:
            sharing.remove(watch)
            if not sharing:
                del self._watches[watch.number]
                self._libc.inotify_rm_watch(self._fd, watch.number)

    def read(self) -> None:
        """Take notice of what has changed so far; never waits."""
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
            if mask & IGNORED:
                self._watches.pop(number, None)

    def close(self) -> None:
        """Release everything."""
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
