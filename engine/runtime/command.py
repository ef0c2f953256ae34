"""Find and execute the container's command, inside the container and with the container's rights.

If the command is not found, nothing is executed and the caller gets the error. If the kernel refuses to execute the
command, the error is written to the container's own output, as with Docker. Example: ``exec /x: exec format error``.
"""

from __future__ import annotations

import os
import signal
import stat

from engine.runtime.errors import NOT_FOUND, PERMISSION, SetupFailed, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def environment(entries: Sequence[str], home: str) -> dict[str, str]:
    """Convert "K=V" entries to a mapping. Of several entries with the same name, the last is used.

    Entries without "=" or without a name are left out. If HOME is missing or empty, it becomes ``home``, as in runc.
    """
    env = {name: value for name, equals, value in (entry.partition("=") for entry in entries) if name and equals}
    return {**env, "HOME": env.get("HOME") or home}


def find_executable(name: str, env: Mapping[str, str]) -> str:
    """Return the path of the executable file ``name``; raises `SetupFailed` if there is none.

    A name without a slash is searched in the variable PATH of ``env``.
    """
    if "/" in name:
        _check_executable(name)
        return name
    for directory in env.get("PATH", "").split(":") if name else ():
        candidate = os.path.join(directory or ".", name)
        try:
            _check_executable(candidate)
        except SetupFailed:
            continue
        return candidate
    raise SetupFailed(NOT_FOUND, f'exec: "{name}": executable file not found in $PATH')


def _check_executable(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        kind = PERMISSION if isinstance(error, PermissionError) else NOT_FOUND
        raise SetupFailed(kind, f'exec: "{path}": stat {path}: {reason(error)}') from error
    if stat.S_ISDIR(mode):
        raise SetupFailed(PERMISSION, f'exec: "{path}": is a directory')
    if not mode & 0o111 or not os.access(path, os.X_OK):
        raise SetupFailed(PERMISSION, f'exec: "{path}": permission denied')


def execute(path: str, argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Execute the command with default signal handling; never returns.

    If the command cannot be executed, print the error on standard error and exit with code 1.
    """
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) is not None:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execve(path, list(argv), env)
    except OSError as error:
        os.write(2, os.fsencode(f"exec {path}: {reason(error)}\n"))
    os._exit(1)
