"""The errors that drivers raise. `drivers.linux.errors` converts errors of the kernel to them."""

from __future__ import annotations

import os


class DriverError(Exception):
    """Base class of all driver errors.

    ``str(error)`` is the text that hawse prints after Docker's prefix "Error response from daemon: ". ``hint`` says
    more about the cause, or what the user may do; only a terminal shows it.
    """

    def __init__(self, text: object = "", hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class BadOption(DriverError):
    """A network or endpoint option has a key or value that this driver does not accept."""


class UnusableOption(BadOption):
    """An option has a value that dockerd's driver or the kernel refuses. Docker's API answers 500 for this error."""


class Exists(DriverError):
    """An object to create conflicts with an existing object.

    The existing object is a link of the kernel with the same name or VXLAN id, or another network of hawse.
    """


class Missing(DriverError):
    """A required object (parent interface, sandbox) does not exist."""


class Busy(DriverError):
    """An object is in use.

    The bridge has its maximum number of ports, or the kernel reports the parent interface as busy (EBUSY).
    """


class Unsupported(DriverError):
    """This kernel or this driver does not support the operation (a kernel module is missing, for example)."""


class NoPermission(DriverError):
    """The process lacks the required privilege (root or CAP_NET_ADMIN)."""


class KernelError(DriverError):
    """The kernel refused an operation; the text names the operation and the object."""

    def __init__(self, operation: str, target: str, errno: int) -> None:
        super().__init__(f"{operation} {target}: {os.strerror(errno).lower()}")
        self.errno = errno


class InterfaceRefused(KernelError):
    """The kernel refused to create a sandbox's interface, because the requested MAC address is not valid."""
