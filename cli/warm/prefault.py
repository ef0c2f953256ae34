"""Rehearse commands: run some commands without effect, so that the real command is faster.

A forked process needs time for each page of memory when it first touches the page. For all pages together, this takes
several times as long as the command itself. Therefore the warm server rehearses once, and so does each idle child (a
forked child of the server that waits for its command).

A rehearsal uses the scratch host: a directory below HAWSE_RUN with the records of a made-up host. A rehearsal changes
nothing outside this directory and leaves no state that a later command could detect.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module

from cli.app import App
from cli.root import run
from cli.warm.socket import directory

SCRATCH = b"warm.rehearsal"
REHEARSAL = "engine.rehearsal"
"""The engine's rehearsal module.

The functions below import the module when they need it. An import statement at the top of this file would load the
module before `cli.warm.preload` starts to watch hawse's files. A change of the module could then be missed.
"""
COMMANDS = (
    ("network", "inspect", "bridge"),
    ("network", "create", "--help"),
    ("network", "ls"),
    ("container", "inspect", "rehearsal"),
    ("run", "--help"),
    ("ps", "-a"),
)
SCRATCH_OBJECTS = ("create", "--name", "rehearsal", "hostfs", "true")


def scratch_directory() -> bytes:
    """Return the path of the scratch host."""
    return os.path.join(directory(), SCRATCH)


def create_scratch_host() -> None:
    """Create the scratch host with one container, and rehearse on it.

    The caller must be in a network namespace that no other process uses. The children that this process forks later
    inherit the filled memory pages and caches.
    """
    forget()
    pid = os.fork()
    if pid == 0:  # run the command in a child process, so that its locks and other state do not stay in the server
        try:
            with scratch_environment():
                run_silently(SCRATCH_OBJECTS)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    import_module(REHEARSAL).compile_tables()
    warm_up()


def run_silently(command: tuple[str, ...]) -> None:
    """Run one command without input; its output is discarded."""
    run(command, App(stdin=io.BytesIO(), stdout=io.BytesIO(), stderr=io.BytesIO()))


def warm_up(until: Callable[[], bool] = lambda: False) -> None:
    """Rehearse: run some commands without effect, and open libraries; stop early when ``until`` returns True.

    ``until`` returns True when a launcher has connected, because the launcher must not wait. Errors in a rehearsal are
    ignored, because the launcher's command will report these errors.
    """
    with scratch_environment():
        for command in COMMANDS:
            if until():
                return
            run_silently(command)
    import_module(REHEARSAL).open_libraries(until)


def scratch_environment() -> AbstractContextManager[None]:
    """Return a context manager in which commands use the scratch host."""
    scratch: AbstractContextManager[None] = import_module(REHEARSAL).scratch_host(os.fsdecode(scratch_directory()))
    return scratch


def forget() -> None:
    """Remove the scratch host; idempotent."""
    shutil.rmtree(scratch_directory(), ignore_errors=True)
