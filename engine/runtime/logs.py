"""Reads json-file logs: the last lines, a span of time, and what is still being written."""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import BinaryIO

from engine.model import LogOptions
from engine.runtime import wire
from engine.runtime.api import LogLine

_BLOCK = 65536
_IN_MODIFY = 2


def read(path: str, options: LogOptions, ask_to_wait: Callable[[], socket.socket]) -> Iterator[LogLine]:
    """The entries of the file at ``path``, oldest first; a missing file is empty.

    ``ask_to_wait`` gives a connection that becomes readable when the container has ended and its log is complete; it
    is called only to follow.
    """
    lines = _follow(path, options.tail, ask_to_wait) if options.follow else _present(path, options.tail)
    for line in lines:
        entry = _parse(line)
        moment = _seconds(entry.time)
        if options.until is not None and moment > options.until:
            return
        if options.since is None or moment >= options.since:
            yield entry


def _parse(line: bytes) -> LogLine:
    document = json.loads(line)
    return LogLine(document["stream"], document["time"], document["log"].encode("utf-8", "replace"))


def _seconds(text: str) -> float:
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def _present(path: str, tail: int) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            file.seek(_start_of_last(file, tail))
            yield from (line for line in file if line.endswith(b"\n"))
    except FileNotFoundError:
        return


def _start_of_last(file: BinaryIO, count: int) -> int:
    """Where the last ``count`` lines begin, read from the end; 0 for all (-1)."""
    if count < 0:
        return 0
    position = file.seek(0, os.SEEK_END)
    wanted = count + 1  # the last line's own newline comes first
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        newlines = block.count(b"\n")
        if newlines >= wanted:
            for _ in range(wanted):
                end = block.rindex(b"\n")
                block = block[:end]
            return start + len(block) + 1
        wanted -= newlines
        position = start
    return 0


def _follow(path: str, tail: int, ask_to_wait: Callable[[], socket.socket]) -> Iterator[bytes]:
    """The lines present, then each new one, until the container has ended."""
    with ExitStack() as stack:
        ended = stack.enter_context(ask_to_wait())
        try:
            file = stack.enter_context(open(os.open(path, os.O_RDONLY | os.O_CREAT, 0o600), "rb"))
        except FileNotFoundError:  # not even its directory: the container has never been started
            return
        changes = _watch(path)
        stack.callback(os.close, changes)
        file.seek(_start_of_last(file, tail))
        over, partial = False, b""
        while True:
            *lines, partial = (partial + file.read()).split(b"\n")
            yield from lines
            if over:
                return
            ready, _, _ = select.select([changes, ended.fileno()], [], [])
            if changes in ready:
                os.read(changes, _BLOCK)
            elif not (over := _has_ended(ended)):
                ended = stack.enter_context(ask_to_wait())


def _has_ended(connection: socket.socket) -> bool:
    """Whether the readable connection tells of the container's end, and not of its supervisor's."""
    try:
        wire.receive(connection)
    except (wire.Broken, OSError):
        return False
    return True


def _watch(path: str) -> int:
    """An inotify descriptor that becomes readable when the file grows."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_CLOEXEC)
    if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY) < 0:
        raise OSError(ctypes.get_errno(), "inotify", path)
    return fd
