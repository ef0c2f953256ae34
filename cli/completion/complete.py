"""``hawse __complete``: print names of this host's objects for the completion scripts of the shells.

Each line is a name, a tab and a description. Because the command runs while the user types, the command never fails and
writes nothing to stderr. The command needs no privilege, and creates no local store if none exists.

The functions here share three parameters:

- ``kinds``: the kinds of names to print, such as ``networks,images``; ``kind`` is one of them
- ``words``: the other arguments of the command line, without the argument that is being completed
- ``index``: how many of these words come before the argument that is being completed
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from cli.app import App
from cli.completion import cache
from cli.completion.queries import FINDERS, Names
from cli.output.terminal_escapes import escaped_line
from cli.pflag import at_least, command


@command("__complete KIND[,KIND...] INDEX [ARG...]", "Print names for tab completion", at_least(2),
         interspersed=False, hidden=True)  # fmt: skip
@click.argument("kinds")
@click.argument("index")
@click.argument("words", nargs=-1)
@click.pass_obj
def complete(app: App, kinds: str, index: str, words: tuple[str, ...]) -> None:
    """Print the names that can complete one argument of a command line; after an error, print nothing."""
    with suppress(Exception):
        position = int(index)
        if words or not cache.is_cacheable(kinds):
            app.out(answer(kinds, position, words))
        else:
            answer_and_keep(app, kinds)


def answer_and_keep(app: App, kinds: str) -> None:
    """Print the names of these kinds, and cache the output for the shells, unless it is empty.

    The caller has checked that the names depend only on the local store. Raises OSError if the store is missing.
    """
    from engine.paths import root_directory
    from engine.store.store_file import NAME

    store = root_directory() / NAME
    written = cache.store_mtime(store)
    suggestions = answer(kinds, 0, ())
    app.out(suggestions)
    if suggestions:
        cache.store(store, kinds, suggestions, written)


def answer(kinds: str, index: int, words: Sequence[str]) -> str:
    """Return the lines that ``hawse __complete`` prints for all ``kinds`` of names."""
    return "".join(line for kind in kinds.split(",") for line in answers(kind, index, words))


def answers(kind: str, index: int, words: Sequence[str]) -> Iterator[str]:
    """Yield the lines to print for one kind; if it ends with ``+``, omit names that are already on the command line."""
    for name, description in find(kind.removesuffix("+"), index, words):
        if can_be_typed(name) and not (kind.endswith("+") and name in words):
            yield f"{name}\t{escaped_line(description)}\n"


def can_be_typed(name: str) -> bool:
    """Return whether a user can type this name as an argument: no control characters, and no ``-`` at the start."""
    return name == escaped_line(name) and not name.startswith("-")


def find(kind: str, index: int, words: Sequence[str]) -> Names:
    """Return the names of one kind with their descriptions; none if they are in a local store that does not exist."""
    if kind in MACHINE:
        return sorted(MACHINE[kind]())
    from engine.paths import root_directory
    from engine.store.sqlite import open_readonly
    from engine.store.store_file import NAME

    with open_readonly(root_directory() / NAME) as reader:
        return list(FINDERS[kind](reader, words[:index], words[index:])) if reader else ()


def interfaces() -> Iterator[tuple[str, str]]:
    """Yield the name of each interface in this network namespace, with "" as description."""
    with suppress(FileNotFoundError):
        yield from ((name, "") for name in os.listdir("/sys/class/net"))


def namespaces() -> Iterator[tuple[str, str]]:
    """Yield the name of each network namespace in /run/netns, with "" as description.

    Symbolic links are left out, because they lead to the sandboxes of containers.
    """
    with suppress(FileNotFoundError):
        yield from ((entry.name, "") for entry in os.scandir("/run/netns") if not entry.is_symlink())


def processes() -> Iterator[tuple[str, str]]:
    """Yield the pid and the name of each process outside the host's network namespaces.

    The host's network namespaces are those of this process and of PID 1. Kernel threads are left out, because they have
    no program.
    """
    hosts = set()
    for process in ("self", "1"):
        with suppress(OSError):  # only root may read the namespace of PID 1
            hosts.add(os.stat(f"/proc/{process}/ns/net").st_ino)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/net").st_ino not in hosts and os.readlink(f"/proc/{pid}/exe"):
                yield pid, Path(f"/proc/{pid}/comm").read_text(errors="backslashreplace").strip()


MACHINE: Mapping[str, Callable[[], Names]] = {
    "environment": lambda: ((name, "") for name in os.environ),
    "interfaces": interfaces,
    "namespaces": namespaces,
    "processes": processes,
}
"""Maps each kind of name that is not in the local store to the function that lists these names on this host."""
