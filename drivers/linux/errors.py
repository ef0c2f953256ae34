"""Conversion of kernel errors (OSError) to driver errors."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from drivers.errors import KernelError, NoPermission


@contextmanager
def kernel_errors(operation: str, target: str, *, ignore: Collection[int] = ()) -> Iterator[None]:
    """Convert an OSError from the ``with`` block to a driver error (`refusal`).

    The error's text contains ``operation`` and ``target``, such as "add address" and "10.0.0.1/8". Errors with an errno
    in ``ignore`` are suppressed.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or errno.EIO
        if code not in ignore:
            raise refusal(operation, target, code) from error


def refusal(operation: str, target: str, code: int) -> KernelError | NoPermission:
    """Return the driver error for the errno ``code``; its text contains ``operation`` and ``target``.

    The error is `NoPermission` for EPERM and EACCES, and `KernelError` for any other code.
    """
    if code in (errno.EPERM, errno.EACCES):
        return NoPermission(f"{operation} {target}: operation not permitted (root or CAP_NET_ADMIN is needed)")
    return KernelError(operation, target, code)
