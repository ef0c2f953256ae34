"""Imports everything a command may need, and watches the files it came from."""

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
# What is imported late, on purpose, where it is needed, so that a command without a server need not wait for it.
LATE = ("importlib.metadata", "rich.console", "rich.text", "subprocess", "tarfile", "traceback")
RESIDENT = ("engine.agentd", "engine.dns", "engine.portproxy", "engine.swarm.server", "cli.warm")
"""Packages of resident processes; what a command needs of them, its own modules import."""

CHANGES = CLOSE_WRITE | CREATE | DELETE | DELETE_SELF | MOVE_SELF | MOVED_FROM | MOVED_TO
CACHE = "__pycache__"


def import_all() -> None:
    """Import every module of ours and the libraries beneath."""
    for name in [*our_modules(), *LATE]:
        with suppress(ImportError):  # a library that is not there is the business of the command that needs it
            import_module(name)


def our_modules() -> Iterator[str]:
    """Names of all modules that commands may import."""
    for package in OURS:
        yield package
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.startswith(RESIDENT) and not module.name.endswith("__main__"):
                yield module.name


def watch(inotify: Inotify, changed: Callable[[], None]) -> None:
    """Call ``changed`` when any file that a command could be read from changes; to be called before the imports."""

    def seen(name: str, _mask: int) -> None:
        if name != CACHE:
            changed()

    for directory in directories():
        inotify.add(directory, CHANGES, seen)


def directories() -> Iterator[str]:
    """Ours with all below, and where libraries are installed: an upgrade makes or removes entries there."""
    for package in OURS:
        for path, below, _ in os.walk(os.path.join(PACKAGES, package)):
            below[:] = [name for name in below if name != CACHE]
            yield path
    yield from (path for path in sys.path if path.endswith(("site-packages", "dist-packages")) and os.path.isdir(path))
