"""Run crun (an OCI runtime), which creates the containers of images and directories.

This module makes crun's command lines, finds crun's files and converts crun's error messages. In a directory below
HAWSE_RUN, crun keeps one entry for each container, and a cache of compiled system call filters. When a container ends,
hawse has to remove only this container's entry. No control group remains, because hawse disables crun's control groups.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import stat
import time
from functools import cache

from engine.runtime import root_paths
from engine.runtime.directory import crun_root
from engine.runtime.errors import BAD_CWD, NOT_FOUND, OTHER, PERMISSION, SetupFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from engine.runtime.directory import ContainerDirectory

PROGRAM = "crun"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ENVIRONMENT = {"PATH": _PATH}
"""All environment variables that crun gets. The user's own variables are not passed, because they could change crun's
behaviour.
"""


def find_program() -> str:
    """Return the path of crun; raises `SetupFailed` if crun is not installed."""
    path = shutil.which(PROGRAM, path=_PATH)
    if path is None:
        text = f'OCI runtime create failed: unable to retrieve OCI runtime error: exec: "{PROGRAM}": executable file '
        raise SetupFailed(OTHER, f"{text}not found in $PATH: install the package {PROGRAM}", plain=True)
    return path


_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed_program() -> int:
    """Return a file descriptor of a sealed (unchangeable) copy of crun in memory, or -1 if there is none.

    A container must not be able to overwrite the program (CVE-2019-5736). Therefore crun copies itself into a sealed
    file at each start, and executes the copy. If crun is started from a sealed file, it makes no copy, which saves 1
    ms. There is no copy if crun is not installed or memory runs out.
    """
    try:
        path = find_program()
        status = os.stat(path)
        return _sealed_copy(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    except (OSError, SetupFailed):
        return -1


@cache
def _sealed_copy(path: str, _version: tuple[int, ...]) -> int:
    """Return a file descriptor of a sealed (unchangeable) copy of the program ``path`` in memory.

    ``_version`` is the cache key: it changes if the program's file changes. Copies of older versions of the program
    remain until this process ends.
    """
    copy = os.memfd_create(PROGRAM, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(path, "rb") as file, open(copy, "wb", closefd=False) as target:
            target.write(file.read())
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        return os.open(f"/proc/self/fd/{copy}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(copy)


KILL_SECONDS = 5.0
"""Maximum duration of the search for the processes of a container that did not start."""
_STATE = ("status", "config.json", "seccomp.bpf")


def create_arguments(directory: ContainerDirectory, log: int, console: str) -> list[str]:
    """Return the crun command line that creates a container; its first process then waits for ``crun start``.

    ``log`` is a file descriptor of the file for crun's errors. ``console`` is the path of the socket that gets the
    terminal from crun, or "" without a terminal.
    """
    files = ["--bundle", directory.path, "--pid-file", directory.file("pid")]
    return [*_begin(directory, log), "create", *files, *_terminal(console), directory.id]


def start_arguments(directory: ContainerDirectory) -> list[str]:
    """Return the crun command line that lets a created container execute its command."""
    return [PROGRAM, "--root", crun_root(directory.run), "start", directory.id]


def exec_arguments(directory: ContainerDirectory, process: int, log: int, console: str, *, detach: bool) -> list[str]:
    """Return the crun command line that executes another process in a container.

    ``process`` is a file descriptor of the process's description. With ``detach``, crun does not wait for the process.
    ``log`` and ``console`` are as for `create_arguments`.
    """
    leave = ["--detach"] if detach else []
    order = ["--process", f"/proc/self/fd/{process}"]
    return [*_begin(directory, log), "exec", *order, *_terminal(console), *leave, directory.id]


def _begin(directory: ContainerDirectory, log: int) -> list[str]:
    # Disable control groups, because hawse's containers have no resource limits. As a result, no control group remains
    # when a container ends.
    root, errors = crun_root(directory.run), f"--log=/proc/self/fd/{log}"
    return [PROGRAM, "--root", root, "--cgroup-manager=disabled", "--log-format=json", errors]


def _terminal(console: str) -> list[str]:
    return ["--console-socket", console] if console else []


def keep_state(directory: ContainerDirectory) -> dict[str, int]:
    """Open crun's files of a started container, and return a map from each file's path to its open file descriptor.

    The contents of the files are kept as long as the file descriptors are open, even if the files are deleted. ``exec``
    needs these files. Without the file ``seccomp.bpf``, a command of ``exec`` could make all system calls.
    """
    state = os.path.join(crun_root(directory.run), directory.id)
    kept = {}
    for path in [*(os.path.join(state, name) for name in _STATE), directory.file("config.json")]:
        with contextlib.suppress(FileNotFoundError):
            kept[path] = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    return kept


def restore_state(kept: Mapping[str, int]) -> None:
    """Write those files of crun again that were deleted; idempotent. ``kept`` is the result of `keep_state`."""
    for path, fd in kept.items():
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            status = os.fstat(fd)
            mode = stat.S_IMODE(status.st_mode)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
                file.write(os.pread(fd, status.st_size, 0))


def unstarted(bundle: str) -> list[int]:
    """Return the pids of the processes that run crun to create a container; ``bundle`` is the container's directory.

    The container's first process is one of these processes, because until ``crun start`` it still executes crun.
    """
    option, pids = [b"--bundle", os.fsencode(bundle)], []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"--bundle" in words and words[words.index(b"--bundle") :][:2] == option:
                pids.append(int(name))
    return pids


def kill_unstarted(bundle: str) -> None:
    """Kill the processes that run crun to create a container (`unstarted`); ``bundle`` is the container's directory.

    Blocks until all these processes have ended, but at most `KILL_SECONDS`. The time is limited, because a hostile
    container can start processes with the same command line again and again.
    """
    pids, deadline = unstarted(bundle), time.monotonic() + KILL_SECONDS
    while pids and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
        pids = unstarted(bundle)


# ---------------------------------------------------------------------------------------------------- error messages


def _executable(name: str, _reason: str) -> tuple[str, str]:
    return NOT_FOUND, f'exec: "{name}": executable file not found in $PATH'


def _stat(name: str, reason: str) -> tuple[str, str]:
    return PERMISSION if "permission" in reason else NOT_FOUND, f'exec: "{name}": stat {name}: {reason}'


def _directory(name: str, _reason: str) -> tuple[str, str]:
    return PERMISSION, f'exec: "{name}": is a directory'


def _permission(name: str, _reason: str) -> tuple[str, str]:
    return PERMISSION, f'exec: "{name}": permission denied'


def _working_directory(name: str, reason: str) -> tuple[str, str]:
    kind = NOT_FOUND if reason == "no such file or directory" else BAD_CWD
    return kind, f'chdir to cwd ("{name}") set in config.json failed: {reason}'


_WORDS: tuple[tuple[re.Pattern[str], Callable[[str, str], tuple[str, str]]], ...] = tuple(
    (re.compile(pattern + r": (?P<reason>[^:\n]+)\n?", re.DOTALL), words)
    for pattern, words in (
        (r"executable file `.*` not found in \$PATH", _executable),
        (r"cannot find `.*` in \$PATH", _executable),
        (r"executable file `.*` not found", _stat),
        (r"cannot open `.*`", _stat),
        (r"the path `.*` is not a regular file", _directory),
        (r"the path `.*` exists but it is not executable", _permission),
        (r"chdir to `.*`", _working_directory),
    )
)
_MOUNT = re.compile(r"mount `(?P<source>.*)` to `(?P<target>.*)`: (?P<reason>[^:]+)", re.DOTALL)
_REFUSED = re.compile(rb"exec(?: container process (?:\(missing dynamic library\?\) )?`(.*)`)?: ([A-Z][^:\n`]+)\r?\n?")
_SUBJECT = re.compile(rb"exec|[a-z][^`\n]*`[^`\n]*`[^\n]*")
_REASON = re.compile(rb"[A-Z][^\n:]+\n?")


def failure(log: int, *, command: str, cwd: str, targets: Mapping[str, str]) -> SetupFailed | None:
    """Return the first error in crun's log, in Docker's words, or None if the log has no error.

    ``log`` is the open log file. ``command`` and ``cwd`` are the container's command and working directory.
    ``targets`` maps canonical mount points to the paths that the user gave.
    """
    text = next(_errors(log), None)
    if text is None:
        return None
    for pattern, words in _WORDS:
        match = pattern.fullmatch(text)
        if match:
            # Show the path that the user typed. This path may be relative, but crun's message always has an absolute
            # path.
            return SetupFailed(*words(cwd if words is _working_directory else command, match["reason"].lower()))
    match = _MOUNT.fullmatch(text)
    if match:
        target = targets.get("/" + match["target"].lstrip("/"), match["target"])
        return mount_failure(
            match["source"], target, f"mount {match['source']}:{target}, flags: 0x5000: {match['reason'].lower()}"
        )
    return SetupFailed(OTHER, f"error during container init: {text}")


def mount_failure(source: str, target: str, why: str) -> SetupFailed:
    """Return the error for a failed mount of ``source`` at ``target``, as runc prints it; ``why`` is the reason."""
    return SetupFailed(OTHER, f'error during container init: error mounting "{source}" to rootfs at "{target}": {why}')


def _errors(log: int) -> Iterator[str]:
    text = os.pread(log, root_paths.FILE_LIMIT_BYTES, 0).decode("utf-8", "surrogateescape")
    for line in filter(None, text.split("\n")):
        entry: dict[str, Any] = json.loads(line)
        if entry["level"] == "error":
            yield entry["msg"]


def may_be_error(output: bytes) -> bool:
    """Return whether ``output`` may be crun's error message for a command that crun could not execute.

    The patterns match in linear time, because a malicious container may choose the output.
    """
    subject, _, why = output.rpartition(b": ")
    return bool(_SUBJECT.fullmatch(subject) and _REASON.fullmatch(why))


def refusal(output: bytes, argv: Sequence[str]) -> bytes:
    """Convert crun's message ``output`` to runc's wording if it says that the kernel refused to execute ``argv``.

    Example: "exec container process `/x`: Exec format error" gives "exec /x: exec format error". Any other ``output``
    is returned unchanged.
    """
    words = output
    if output.startswith(b'{"msg":"exec container process'):
        with contextlib.suppress(ValueError, RecursionError):
            words = os.fsencode(str(json.loads(output)["msg"]))
    match = _REFUSED.fullmatch(words)
    if match is None:
        return output
    name = match[1] if match[1] and "/" not in argv[0] else os.fsencode(argv[0])
    return b"exec " + name + b": " + match[2].lower() + b"\n"
