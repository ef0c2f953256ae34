"""Sessions with rtnetlink, and how its failures become a driver's.

pyroute2 takes a quarter of a second to import, so it is imported when the first session opens.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from drivers.api import KernelError, NoPermission

DUMP_ATTEMPTS = 5

Session = Any
"""An open ``pyroute2.IPRoute``; it stays in the namespace it was opened in."""


@contextmanager
def session() -> Iterator[Session]:
    """Open rtnetlink in the network namespace of the calling thread."""
    from pyroute2 import IPRoute

    with IPRoute() as opened:
        yield opened


@contextmanager
def doing(operation: str, target: str, *, ignore: Collection[int] = ()) -> Iterator[None]:
    """Turn the kernel's refusal inside the block into a driver's error; the errnos in ``ignore`` are no failure."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code not in ignore:
            raise refusal(operation, target, error.code) from error
    except OSError as error:
        code = error.errno or errno.EIO
        if code not in ignore:
            raise refusal(operation, target, code) from error


def refusal(operation: str, target: str, code: int) -> KernelError | NoPermission:
    """The driver's error for an errno."""
    if code in (errno.EPERM, errno.EACCES):
        return NoPermission(f"{operation} {target}: operation not permitted (root or CAP_NET_ADMIN is needed)")
    return KernelError(operation, target, code)


def dump(what: str, query: Callable[[], Iterable[Any]]) -> list[Any]:
    """List kernel objects, again when the list changed while it was read.

    A list that never holds still is unknown, not empty: then this raises `KernelError` with EINTR.
    """
    from pyroute2.netlink.exceptions import NetlinkDumpInterrupted

    for _ in range(DUMP_ATTEMPTS):
        with doing("list", what), suppress(NetlinkDumpInterrupted):
            return list(query())
    raise KernelError("list", what, errno.EINTR)
