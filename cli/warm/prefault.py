"""Rehearsals: commands that are run only to touch memory, once by the server and once by every idle child.

A forked process pays for each page of memory when it first touches the page. This costs several times as much as the
command itself. A child that runs some commands before its launcher comes has paid already. A rehearsal reads from a
scratch host that does not really exist. It changes nothing outside, and leaves no state that a later command could
notice.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from cli.app import App
from cli.root import run
from cli.warm.socket import directory

SCRATCH = b"warm.rehearsal"
COMMANDS = (
    ("network", "inspect", "bridge"),
    ("network", "create", "--help"),
    ("network", "ls"),
    ("container", "inspect", "rehearsal"),
    ("run", "--help"),
    ("ps", "-a"),
)
SCRATCH_OBJECTS = ("create", "--name", "rehearsal", "hostfs", "true")


def scratch_environment() -> bytes:
    """Return the directory of the scratch host."""
    return os.path.join(directory(), SCRATCH)


def create_scratch_host() -> None:
    """Create the scratch host with one container to read; call it in a network namespace that nothing else uses."""
    forget()
    pid = os.fork()
    if pid == 0:  # in a child, because all later children would inherit locks and other state of a change
        with elsewhere():
            run_silently(SCRATCH_OBJECTS)
        os._exit(0)
    os.waitpid(pid, 0)
    warm_up()


def run_silently(command: tuple[str, ...]) -> None:
    """Run one command without input or visible output."""
    run(command, App(stdin=io.BytesIO(), stdout=io.BytesIO(), stderr=io.BytesIO()))


def warm_up(until: Callable[[], bool] = lambda: False) -> None:
    """Run the rehearsal commands and open what commands open; stop early when ``until`` returns True.

    A launcher that has come must not wait. A failure is ignored, because the real command will report it.
    """
    with elsewhere():
        for command in COMMANDS:
            if until():
                return
            run_silently(command)
    with suppress(Exception):
        with import_module("drivers.linux.netlink").session() as opened:
            import_module("drivers.linux.link").find(opened, "lo")
            # Because pyroute2 takes 0.2 ms longer for the first message of a kind, one of each kind is read in advance.
            import_module("drivers.linux.address").all_addresses(opened)
            import_module("drivers.linux.route").widest(opened)
        if not until():
            import_module("drivers.linux.libnftables").run("")


@contextmanager
def elsewhere() -> Iterator[None]:
    """Make the scratch host this process's host while entered."""
    place = os.fsdecode(scratch_environment())
    saved = {name: os.environ.get(name) for name in ("HAWSE_ROOT", "HAWSE_RUN", "HAWSE_CONFIG")}
    os.environ.update(HAWSE_ROOT=f"{place}/root", HAWSE_RUN=f"{place}/run", HAWSE_CONFIG=os.devnull)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def forget() -> None:
    """Remove the files of the scratch host; idempotent."""
    shutil.rmtree(scratch_environment(), ignore_errors=True)
