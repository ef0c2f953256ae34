"""Commands run for nothing, by the server once and by every child in waiting.

A forked process pays for each page of memory at its first touch, several times what the command itself costs. A child
that has run some commands before its launcher comes has paid already. It reads, on a host that does not exist; it
changes nothing anywhere and leaves no state that a later command could notice.
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
    """The directory of the host that does not exist."""
    return os.path.join(directory(), SCRATCH)


def create_scratch_host() -> None:
    """Make the host that does not exist, with a container to read; call in a network namespace that nobody uses."""
    forget()
    pid = os.fork()
    if pid == 0:  # what a change keeps in its process, locks above all, must not be in ours and all our children's
        with elsewhere():
            run_silently(SCRATCH_OBJECTS)
        os._exit(0)
    os.waitpid(pid, 0)
    warm_up()


def run_silently(command: tuple[str, ...]) -> None:
    """Run one command, unseen and unheard."""
    run(command, App(stdin=io.BytesIO(), stdout=io.BytesIO(), stderr=io.BytesIO()))


def warm_up(until: Callable[[], bool] = lambda: False) -> None:
    """Run the commands and open what commands open, or a part of that: a launcher that has come shall not wait.

    A failure is no matter, the command itself will tell.
    """
    with elsewhere():
        for command in COMMANDS:
            if until():
                return
            run_silently(command)
    with suppress(Exception):
        with import_module("drivers.linux.netlink").session() as opened:
            import_module("drivers.linux.link").find(opened, "lo")
            # The first message of a kind takes pyroute2 0.2 ms more than the next.
            import_module("drivers.linux.address").all_addresses(opened)
            import_module("drivers.linux.route").widest(opened)
        if not until():
            import_module("drivers.linux.libnftables").run("")


@contextmanager
def elsewhere() -> Iterator[None]:
    """Make the host that does not exist this process's host."""
    place = os.fsdecode(scratch_environment())
    own = {name: os.environ.get(name) for name in ("HAWSE_ROOT", "HAWSE_RUN", "HAWSE_CONFIG")}
    os.environ.update(HAWSE_ROOT=f"{place}/root", HAWSE_RUN=f"{place}/run", HAWSE_CONFIG=os.devnull)
    try:
        yield
    finally:
        for name, value in own.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def forget() -> None:
    """Remove what rehearsals have written; idempotent."""
    shutil.rmtree(scratch_environment(), ignore_errors=True)
