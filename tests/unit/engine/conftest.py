"""Helpers for tests of the engine."""

from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let the kernel refuse each new descriptor with EMFILE, as it does after the last inotify descriptor."""
    gc.collect()  # Python opens a file to warn of a forgotten one; another test may have left such a file
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
