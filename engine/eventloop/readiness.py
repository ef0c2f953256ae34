"""Wait until file descriptors are ready, with poll(2).

select(2) is not used in this project. It fails for a file descriptor whose number is 1024 or higher. A resident process
with many containers has such file descriptors, and its child processes inherit them.
"""

from __future__ import annotations

import errno
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class HasDescriptor(Protocol):
        """The type of an object with a file descriptor, such as a socket."""

        def fileno(self) -> int:
            """Return the file descriptor."""


def wait_ready(
    readers: Iterable[int | HasDescriptor], writers: Iterable[int | HasDescriptor] = (), seconds: float | None = None
) -> tuple[list[int], list[int]]:
    """Wait until a file descriptor is ready; return those of ``readers`` and those of ``writers`` that are ready.

    ``readers`` are ready when they can be read, ``writers`` when they can be written. A descriptor with an error or
    with a closed other end is ready too. Both lists are empty if none is ready within ``seconds``. Without ``seconds``,
    the wait has no limit. Raises OSError (EBADF) if a descriptor is not open.
    """
    events: dict[int, int] = {}
    for descriptors, event in ((readers, select.POLLIN), (writers, select.POLLOUT)):
        for descriptor in descriptors:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            events[number] = events.get(number, 0) | event
    waiting = select.poll()
    for number, awaited in events.items():
        waiting.register(number, awaited)
    ready = waiting.poll(None if seconds is None else 1000 * max(0.0, seconds))
    if any(found & select.POLLNVAL for _, found in ready):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    ended = select.POLLERR | select.POLLHUP
    return (
        [number for number, found in ready if events[number] & select.POLLIN and found & (select.POLLIN | ended)],
        [number for number, found in ready if events[number] & select.POLLOUT and found & (select.POLLOUT | ended)],
    )


def wait_readable(readers: Iterable[int | HasDescriptor], seconds: float | None = None) -> list[int]:
    """Wait until a file descriptor can be read, and return the readable ones; the result and errors of `wait_ready`."""
    return wait_ready(readers, seconds=seconds)[0]
