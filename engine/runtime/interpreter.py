"""The interpreter behind a read-only mount, for whatever is to become a process of an image.

Such a process can be made to execute /proc/self/exe, which is then still what hawse runs on: the host's own file, in
the hands of somebody in another root (CVE-2019-5736 of runc). Through a read-only mount that nobody else sees, the file
cannot be changed, and no capability of Docker's default ones is enough to make the mount writable again.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress

from engine.runtime import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NoReturn

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from {} import main; main(*sys.argv[1:])"


def is_shielded() -> bool:
    """Tell whether this process runs on such an interpreter; to be asked before its root changes."""
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


@contextmanager
def shielded() -> Iterator[str]:
    """A path that executes our interpreter shielded; the plain one where this user may not make mounts."""
    fd = -1
    for program in ("/proc/self/exe", sys.executable):  # who has changed the mount namespace runs on a file of another
        if fd < 0:
            with suppress(OSError):
                fd = kernel.clone_read_only(program)
    try:
        yield f"/proc/{os.getpid()}/fd/{fd}" if fd >= 0 else sys.executable
    finally:
        if fd >= 0:
            os.close(fd)


def arguments(module: str, *words: str) -> list[str]:
    """The argument vector that runs ``main`` of a module of ours, without site packages and the user's environment."""
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT.format(module), _PACKAGES, *words]


def execute(module: str, words: Sequence[str]) -> NoReturn:
    """Become a shielded interpreter that runs ``main`` of a module; raises OSError."""
    with shielded() as path:
        os.execve(path, arguments(module, *words), {})
