"""Warm up an idle worker: it reads the records of a scratch host, so that its first job is faster.

The scratch host is no real host, but only a database with one container, in a directory below HAWSE_RUN.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress

from engine.core import open_engine
from engine.model import ContainerConfig, ContainerCreate
from engine.paths import run_directory
from engine.rehearsal import compile_tables, open_libraries, scratch_host
from engine.runtime import syscalls

SCRATCH = "service.rehearsal"
NAME = "rehearsal"


def scratch() -> str:
    """Return the path of the scratch host."""
    return str(run_directory() / SCRATCH)


def create_scratch_host() -> int:
    """Create the scratch host in a child process; return the child's pid without waiting for it.

    The child has its own network namespace, because the engine changes the namespace in which it runs.
    """
    compile_tables()
    pid = os.fork()
    if pid:
        return pid
    with suppress(Exception):
        forget()
        syscalls.unshare(syscalls.CLONE_NEWNET)
        with scratch_host(scratch()):
            config = ContainerConfig(image="hostfs", cmd=("true",))
            open_engine().containers.create(ContainerCreate(config, name=NAME))
    os._exit(0)


def warm_up(until: Callable[[], bool]) -> None:
    """Read the scratch host, and load the libraries that jobs use; stop early when ``until`` returns True.

    ``until`` returns True when a job has come, because the job must not wait. Errors are ignored, because the job will
    report them.
    """
    with suppress(Exception), scratch_host(scratch()):
        engine = open_engine()
        steps = (
            lambda: engine.networks.inspect("bridge"),
            lambda: engine.networks.list({}),
            lambda: engine.containers.inspect(NAME),
            lambda: engine.containers.list({}, all=True),
        )
        for step in steps:
            if until():
                return
            step()
    open_libraries(until)


def forget() -> None:
    """Remove the scratch host; idempotent."""
    shutil.rmtree(scratch(), ignore_errors=True)
