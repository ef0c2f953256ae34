"""Runs nftables scripts: in this process through libnftables, or through the ``nft`` program where that can't be.

One call is one transaction: all of a script happens or nothing. Acts in the calling thread's network namespace.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from drivers.api import DriverError, NoPermission, Unsupported

LIBRARY = "libnftables.so.1"
JSON_OUTPUT = 1 << 4  # NFT_CTX_OUTPUT_JSON
NO_DNS = 1 << 0  # NFT_CTX_INPUT_NO_DNS: a word that is no address is an error, not a question to a name server
TIMEOUT = 60  # seconds
SELECTABLE = 1024 - 16
"""libnftables waits by select(2), and its process is ended for a descriptor from FD_SETSIZE on; some are to spare."""


class Refused(DriverError):
    """nftables refused a script; nothing of it has happened. The message is the first of its complaints."""

    @property
    def nothing_there(self) -> bool:
        """Tell whether the script named a table, set or chain that doesn't exist."""
        return "No such file or directory" in str(self)

    @property
    def taken(self) -> bool:
        """Tell whether the script added a key that a map has already, with another value."""
        return "File exists" in str(self)


_places: list[int] = []


def keep_places(count: int = 4) -> None:
    """Keep descriptors that select(2) knows for the library, in a process that will have very many; once, early."""
    _places.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(count))


@contextmanager
def _places_free() -> Iterator[None]:
    kept = len(_places)
    for place in _places:
        os.close(place)
    _places.clear()
    try:
        yield
    finally:
        keep_places(kept)


def run(script: str) -> None:
    """Run a script as one transaction; raises `Refused` with nftables' text."""
    _execute(script, as_json=False)


def listing(what: str) -> list[dict[str, Any]]:
    """The objects that ``list <what>`` names, as nftables' JSON schema has them (libnftables-json(5))."""
    output = _execute(f"list {what}", as_json=True)
    found: list[dict[str, Any]] = json.loads(output)["nftables"]
    return found


def _execute(script: str, *, as_json: bool) -> str:
    library = _library()
    with _places_free():
        if library is not None and _next_descriptor() < SELECTABLE:
            ok, output, errors = _in_process(library, script, as_json)
        else:
            ok, output, errors = _by_program(script, as_json)
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


def _in_process(library: ctypes.CDLL, script: str, as_json: bool) -> tuple[bool, str, str]:
    # A context holds a netlink socket of the namespace it was made in, so it is not kept.
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_input_set_flags(context, NO_DNS)
        if as_json:
            library.nft_ctx_output_set_flags(context, JSON_OUTPUT)
        code = library.nft_run_cmd_from_buffer(context, script.encode())
        output = library.nft_ctx_get_output_buffer(context).decode()
        errors = library.nft_ctx_get_error_buffer(context).decode()
    finally:
        library.nft_ctx_free(context)
    return code == 0, output, errors


def _by_program(script: str, as_json: bool) -> tuple[bool, str, str]:
    command = ["nft", *(["-j"] if as_json else []), "-f", "-"]
    try:
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except FileNotFoundError:
        message = "nftables is missing: install libnftables or the nft program"
        raise Unsupported(message) from None
    return done.returncode == 0, done.stdout, done.stderr
