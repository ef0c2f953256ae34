"""Import everything that a command may need, and watch hawse's files for changes."""

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
# Modules that a command imports only when needed, which makes a command start faster without the warm server. The warm
# server imports all of them in advance.
LATE = ("importlib.metadata", "rich.console", "rich.text", "subprocess", "tarfile", "traceback")
RESIDENT = ("engine.agentd", "engine.dns", "engine.portproxy", "engine.swarm.server", "cli.warm")
"""Packages of resident processes (agents and servers), which the warm server does not import itself.

A module of a command may still import them.
"""

CHANGES = CLOSE_WRITE | CREATE | DELETE | DELETE_SELF | MOVE_SELF | MOVED_FROM | MOVED_TO
CACHE = "__pycache__"


def import_all() -> None:
    """Import all of hawse's modules and the libraries in LATE."""
    for name in [*our_modules(), *LATE]:
        with suppress(ImportError):  # the command that needs a missing library reports it
            import_module(name)


def our_modules() -> Iterator[str]:
    """Yield the names of all of hawse's modules that commands may import."""
    for package in OURS:
        yield package
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.startswith(RESIDENT) and not module.name.endswith("__main__"):
                yield module.name


def watch(inotify: Inotify, changed: Callable[[], None]) -> None:
    """Call ``changed`` when a file changes from which a command's code could be loaded.

    Call this function before the imports, so that no change is missed.
    """

    def seen(name: str, _mask: int) -> None:
        if name != CACHE:
            changed()

    for directory in directories():
        inotify.add(directory, CHANGES, seen)


def directories() -> Iterator[str]:
    """Yield hawse's directories with all subdirectories, and the directories in which libraries are installed.

    An upgrade of a library creates or removes entries in the directories of libraries.
    """
    for package in OURS:
        for path, below, _ in os.walk(os.path.join(PACKAGES, package)):
            below[:] = [name for name in below if name != CACHE]
            yield path
    yield from (path for path in sys.path if path.endswith(("site-packages", "dist-packages")) and os.path.isdir(path))
