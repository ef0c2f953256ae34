"""Execution of nftables scripts through libnftables, or through the ``nft`` program if libnftables is not usable.

Each call is one transaction: the whole script takes effect, or nothing. Runs in the calling thread's network namespace.
"""

from __future__ import annotations

import _thread
import ctypes
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from typing import Any

from drivers.errors import DriverError, NoPermission, Unsupported
from drivers.linux import netns, recording

LIBRARY = "libnftables.so.1"
JSON_OUTPUT = 1 << 4  # libnftables flag NFT_CTX_OUTPUT_JSON: print JSON
WITH_HANDLES = 1 << 3  # libnftables flag NFT_CTX_OUTPUT_HANDLE: print the number of each rule
OPTIONS = {JSON_OUTPUT: "-j", WITH_HANDLES: "-a"}  # the nft program's option for each flag of libnftables
NO_DNS = 1 << 0  # NFT_CTX_INPUT_NO_DNS: do not look up host names by DNS
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
TIMEOUT = 60  # seconds to wait for the nft program
FOREIGN_TIMEOUT_SECONDS = 5.0  # seconds to wait for nft in a namespace whose owner may add very many rules
SELECTABLE = 1024 - 16
"""The limit of file descriptor numbers for libnftables. If a new file descriptor would reach this limit, hawse runs the
``nft`` program instead.

libnftables waits with select(2), which aborts the process for file descriptors from FD_SETSIZE (1024) on. 16 numbers
below FD_SETSIZE stay in reserve.
"""


class Refused(DriverError):
    """nftables refused a script and changed nothing. The exception's text is the first error that nftables printed."""

    @property
    def nothing_there(self) -> bool:
        """Return whether the script named a table, set or chain that does not exist."""
        return "No such file or directory" in str(self)

    @property
    def taken(self) -> bool:
        """Return whether an object to add already exists: a map key with another value, or a table."""
        return "File exists" in str(self)


_reserved: list[int] = []
_one_at_a_time = _thread.RLock()
"""A lock that a thread holds during each call of libnftables, because all libnftables contexts of a process share
global lists.
"""


def reserve_fds(count: int = 4) -> None:
    """Reserve file descriptors with low numbers for libnftables, because select(2) fails for numbers of 1024 and more.

    ``count`` file descriptors are kept open, and closed while libnftables runs. Call this function once and early, in a
    process that will open very many file descriptors.
    """
    _reserved.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(count))


@contextmanager
def _reserved_fds_free() -> Iterator[None]:
    kept = len(_reserved)
    for fd in _reserved:
        os.close(fd)
    _reserved.clear()
    try:
        yield
    finally:
        reserve_fds(kept)


def run(script: str) -> None:
    """Run a script as one transaction; raises `Refused` with the error text that nftables prints.

    Raises `NoPermission` for a process without CAP_NET_ADMIN. Raises `Unsupported` if both libnftables and the nft
    program are missing.
    """
    action = partial(_execute, script)
    if recording.recorder is None:
        action()
    else:
        recording.recorder.nft(script, action)


def listing(what: str, *, apart: bool = False) -> list[dict[str, Any]]:
    """Return the objects that the nftables command ``list <what>`` lists, in JSON form (libnftables-json(5)).

    ``what`` is, for example, "table inet hawse". With ``apart``, the nft program lists the objects, because libnftables
    may crash on tables that a container has made. Raises the errors of `run`.
    """
    output = _execute(f"list {what}", JSON_OUTPUT, apart=apart)
    objects: list[dict[str, Any]] = json.loads(output)["nftables"]
    return objects


def listing_of_others(what: str) -> list[dict[str, Any]]:
    """Return the objects that ``list <what>`` lists in another program's tables; an empty list if nftables fails.

    The objects are in JSON form (libnftables-json(5)). The nft program lists them, because libnftables aborts its
    process if a name, a comment or an interface is not UTF-8. If that program is missing, libnftables lists them in
    this process. Raises `Unsupported` if libnftables is missing too.
    """
    try:
        return listing(what, apart=True)
    except (NoPermission, Refused):
        return []


def is_plain(name: str) -> bool:
    """Return whether a name from the kernel can be a part of a script: letters, digits and ``_./-`` only.

    The kernel allows any character in a name. Without this check, a name that a container has chosen could add commands
    to the script, such as ``include``, which reads files of the host.
    """
    return bool(_PLAIN.fullmatch(name))


def numbered(what: str) -> str:
    """Return what ``list <what>`` prints of another program's tables, with the handle of each rule as a comment.

    ``what`` is, for example, "chain ip filter INPUT". The nft program lists the objects. If that program is missing,
    libnftables lists them in this process. Raises the errors of `run`.
    """
    return _execute(f"list {what}", WITH_HANDLES, apart=True)


def _execute(script: str, flags: int = 0, *, apart: bool = False) -> str:
    """Run a script, and return its output. ``flags`` are those of `Context.attempt`.

    Usually, libnftables runs the script in this process, and only one thread at a time runs a script. If libnftables is
    missing, or the number of the next file descriptor is too large (`SELECTABLE`), the nft program runs the script.

    In two cases, the nft program runs the script. A program in the namespace could make such a script slow, and other
    threads of this process would wait for it. The cases are:

    - ``apart`` is True.
    - The network namespace belongs to another user namespace. The owner of that user namespace could also crash
      libnftables, and thereby this process, with sets that no correct program makes.

    If the nft program is missing in these two cases, the script is run in the usual way.
    """
    if apart or netns.is_of_other_user_namespace():
        with suppress(Unsupported):
            return _checked(*_by_program(script, flags, FOREIGN_TIMEOUT_SECONDS))
    with _one_at_a_time, _reserved_fds_free():
        if _library() is not None and _next_descriptor() < SELECTABLE:
            return _checked(*_in_process(script, flags))
        return _checked(*_by_program(script, flags))


def _checked(ok: bool, output: str, errors: str) -> str:
    if ok:
        return output
    text = next((line for line in errors.splitlines() if "Error:" in line), errors.strip())
    if "Operation not permitted" in errors:
        raise NoPermission(f"nftables: {text}")
    raise Refused(f"nftables: {text}")


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


def _next_descriptor() -> int:
    fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    return fd


class Context:
    """A libnftables context, with a netlink socket of the network namespace in which the context was created.

    A table with the flag ``owner`` belongs to that socket. Other programs can neither change nor flush such a table.
    The kernel removes the table when the context is closed or its process ends. The constructor raises `Unsupported` if
    libnftables is missing.
    """

    def __init__(self) -> None:
        library = _library()
        if library is None:
            raise Unsupported("nftables' library is missing: install libnftables")
        self._library = library
        with _one_at_a_time:
            number = _next_descriptor()
            self._context = ctypes.c_void_p(library.nft_ctx_new(0))
            # Close the library's socket in programs that this process executes. Otherwise, such a program would keep
            # the socket's tables alive after the end of this process.
            with suppress(OSError):
                os.set_inheritable(number, False)
            library.nft_ctx_buffer_output(self._context)
            library.nft_ctx_buffer_error(self._context)
            library.nft_ctx_input_set_flags(self._context, NO_DNS)

    def run(self, script: str) -> None:
        """Run a script as one transaction; raises `Refused` with the error text that nftables prints."""
        _checked(*self.attempt(script))

    def attempt(self, script: str, *, flags: int = 0) -> tuple[bool, str, str]:
        """Run a script; return (whether the script succeeded, output, error messages).

        ``flags`` are flags of libnftables for the output, such as `JSON_OUTPUT`.
        """
        with _one_at_a_time:
            self._library.nft_ctx_output_set_flags(self._context, flags)
            code = self._library.nft_run_cmd_from_buffer(self._context, script.encode())
            output = self._library.nft_ctx_get_output_buffer(self._context).decode(errors="replace")
            errors = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        return code == 0, output, errors

    def close(self) -> None:
        """Close the context's socket; idempotent. The kernel then removes the tables that the socket owns."""
        context, self._context = self._context, ctypes.c_void_p()
        if context:
            with _one_at_a_time:
                self._library.nft_ctx_free(context)


def _in_process(script: str, flags: int) -> tuple[bool, str, str]:
    with closing(Context()) as context:  # a new context for each call, because it works in one network namespace only
        return context.attempt(script, flags=flags)


def _by_program(script: str, flags: int, seconds: float = TIMEOUT) -> tuple[bool, str, str]:
    command = ["nft", *(option for flag, option in OPTIONS.items() if flags & flag), "-f", "-"]
    try:
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False, "", f"Error: no answer within {seconds:g} s"
    except FileNotFoundError:
        message = "nftables is missing: install libnftables or the nft program"
        raise Unsupported(message) from None
    return done.returncode == 0, done.stdout, done.stderr
