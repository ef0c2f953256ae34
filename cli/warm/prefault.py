"""Rehearse commands: the server runs some commands once, and each idle child runs them once, to touch their memory.

A forked process needs time for each page of memory when it first touches the page. For all pages together, this takes
several times as long as the command itself. An idle child rehearses before a launcher connects. The launcher's command
therefore does not need this time. A rehearsal uses the scratch host: a directory with the records of a made-up host. A
rehearsal changes nothing outside this directory and leaves no state that a later command could detect.
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
from engine.model import ContainerRecord, EndpointRecord, ImageRecord, NetworkRecord
from engine.store.codec import prepare

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
    """Return the path of the directory of the scratch host (the made-up host whose records rehearsals read)."""
    return os.path.join(directory(), SCRATCH)


def create_scratch_host() -> None:
    """Create the scratch host (the made-up host whose records rehearsals read) with one container.

    The caller is in a network namespace that no other process uses.
    """
    forget()
    pid = os.fork()
    if pid == 0:  # run the commands in a child process, so that their locks and other state do not stay in the server
        with elsewhere():
            run_silently(SCRATCH_OBJECTS)
        os._exit(0)
    os.waitpid(pid, 0)
    compile_tables()
    warm_up()


def compile_tables() -> None:
    """Compile the tables that hawse and pyroute2 compile at first use, so that each forked child has them.

    This saves 1.3 ms of CPU time in ``network connect``. Errors are ignored, as in `warm_up`.
    """
    with suppress(Exception):
        prepare(NetworkRecord, ContainerRecord, EndpointRecord, ImageRecord)
        import_module("drivers.registry").prepare()
        import_module("drivers.linux.rehearsal").encode_all()


def run_silently(command: tuple[str, ...]) -> None:
    """Run one command without input; its output is discarded."""
    run(command, App(stdin=io.BytesIO(), stdout=io.BytesIO(), stderr=io.BytesIO()))


def warm_up(until: Callable[[], bool] = lambda: False) -> None:
    """Run the rehearsal commands and open the libraries that commands use; stop early when ``until`` returns True.

    ``until`` returns True when a launcher has connected, because the launcher must not wait. Errors in a rehearsal are
    ignored, because the launcher's command will report these errors.
    """
    with elsewhere():
        for command in COMMANDS:
            if until():
                return
            run_silently(command)
    with suppress(Exception):
        with import_module("drivers.linux.netlink").session() as opened:
            import_module("drivers.linux.link").find(opened, "lo")
            # Read addresses here, and routes in the next line. pyroute2 needs 0.2 ms more for the first netlink message
            # of each kind, and the user's command must not spend this time.
            import_module("drivers.linux.address").all_addresses(opened)
            import_module("drivers.linux.route").widest(opened)
        if not until():
            import_module("drivers.linux.libnftables").run("")


@contextmanager
def elsewhere() -> Iterator[None]:
    """Use the directories of the scratch host (the made-up host of rehearsals) while the context manager is active.

    The environment variables HAWSE_ROOT, HAWSE_RUN and HAWSE_CONFIG are restored at the end.
    """
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
    """Remove all files of the scratch host (the made-up host whose records rehearsals read); idempotent."""
    shutil.rmtree(scratch_environment(), ignore_errors=True)
