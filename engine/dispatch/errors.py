"""The one seam between the drivers' vocabulary of failures and the engine's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from drivers import api as drivers
from drivers.linux import libnftables
from engine import errors

KINDS: dict[type[drivers.DriverError], type[errors.EngineError]] = {
    drivers.BadOption: errors.InvalidArgument,
    drivers.Exists: errors.Forbidden,
    drivers.Missing: errors.NotFound,
    drivers.Busy: errors.KernelFailure,
    drivers.Unsupported: errors.NotImplementedByHawse,
    drivers.NoPermission: errors.PermissionDenied,
    drivers.InterfaceRefused: errors.InterfaceFailure,
    drivers.KernelError: errors.KernelFailure,
    libnftables.Refused: errors.KernelFailure,
}
"""Every kind that drivers of our own raise; a test walks the tree of `DriverError` and fails on a gap."""


@contextmanager
def translate_driver_errors(prefix: str = "") -> Iterator[None]:
    """Turn a driver's failure inside the block into the engine's kind, ``prefix`` before its text."""
    try:
        yield
    except drivers.DriverError as error:
        # Because drivers of others may raise kinds of their own, a kind that is not listed is what its base is.
        kind = next((KINDS[c] for c in type(error).__mro__ if c in KINDS), errors.KernelFailure)
        raise kind(prefix + str(error)) from error
