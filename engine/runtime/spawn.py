"""Start programs that do not depend on this process: no common session, no common streams."""

from __future__ import annotations

import os
import signal
import sys

from engine import PACKAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def python_command(module: str, run: str) -> list[str]:
    """Return the command line of a process that calls ``main`` of ``module`` with the directory ``run``.

    The process runs without site packages and without the user's PYTHON… variables, because it needs only hawse and the
    standard library.
    """
    boot = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {module} import main; main(sys.argv[1])"
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", boot, PACKAGES, run]


def spawn(argv: list[str], env: Mapping[str, str]) -> int:
    """Start a program in a session of its own, with the null device as its streams; return its pid. Raises OSError.

    A program name without a slash is searched in the PATH of this process, not in that of ``env``. The program gets the
    default handling of the two signals that Python ignores. It is a child of this process.
    """
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    default = [signal.SIGPIPE, signal.SIGXFSZ]
    return os.posix_spawnp(argv[0], argv, env, file_actions=null, setsid=True, setsigdef=default)
