"""Import the modules that most commands need, and watch hawse's files for changes."""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module

from cli.launcher.launch import PACKAGES
from engine.eventloop.inotify import CLOSE_WRITE, CREATE, DELETE, DELETE_SELF, MOVE_SELF, MOVED_FROM, MOVED_TO, Inotify

OURS = ("cli", "engine", "drivers")
# Modules that a command imports only when it uses them, so that commands without the warm server start faster. The warm
# server imports all of these modules in advance.
LATE = ("importlib.metadata", "subprocess", "tarfile", "traceback")
RESIDENT = (
    "engine.agentd", "engine.dns", "engine.portproxy", "engine.swarm", "cli.warm",
    "engine.diagnosis", "engine.recovery.link_repair",
    "cli.doctor", "cli.diagram", "cli.network.map", "cli.output.console", "cli.output.download",
)  # fmt: skip
"""The modules that `import_all` omits, because each megabyte of memory makes a fork slower.

Only resident processes (agents and servers), the commands for diagnosis, the commands that administer the cluster, and
the download of an image on a terminal use these modules. The diagnosis alone takes 5 MB, and the library cryptography,
which `engine.swarm` uses, 10 MB. If another module imports one of them, it is loaded all the same.
"""

CHANGES = CLOSE_WRITE | CREATE | DELETE | DELETE_SELF | MOVE_SELF | MOVED_FROM | MOVED_TO
CACHE = "__pycache__"


def import_all() -> None:
    """Import the modules that most commands need, so that the warm server's children inherit them.

    These are the libraries in `LATE`, and all of hawse's modules except those in `RESIDENT`. Few commands use the
    modules in `RESIDENT`.
    """
    for name in [*our_modules(), *LATE]:
        with suppress(ImportError):  # ignore a missing library: a command that needs the library will report the error
            import_module(name)


def our_modules() -> Iterator[str]:
    """Yield the names of hawse's modules; modules in `RESIDENT` and ``__main__`` modules are omitted."""
    for package in OURS:
        yield package
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.startswith(RESIDENT) and not module.name.endswith("__main__"):
                yield module.name


def watch(inotify: Inotify, changed: Callable[[], None]) -> None:
    """Watch the files from which commands may load code, and call ``changed`` when one of them changes.

    The caller must call this function before it imports modules, so that no change of a file is missed.
    """

    def seen(name: str, _mask: int) -> None:
        if name != CACHE:
            changed()

    for directory in directories():
        inotify.add(directory, CHANGES, seen)


def directories() -> Iterator[str]:
    """Yield hawse's directories with all subdirectories, and the directories in which libraries are installed.

    The subdirectories ``__pycache__`` are left out. The directories of libraries are watched without subdirectories,
    because an upgrade of a library changes entries directly in these directories.
    """
    for package in OURS:
        for path, below, _ in os.walk(os.path.join(PACKAGES, package)):
            below[:] = [name for name in below if name != CACHE]
            yield path
    yield from (path for path in sys.path if path.endswith(("site-packages", "dist-packages")) and os.path.isdir(path))
