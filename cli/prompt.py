"""Ask the user before a command removes objects, and print what was removed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import click

from cli.app import App
from cli.pflag import FILTER, command, flag


def confirmed(app: App, question: str) -> bool:
    """Print the question on stdout and read one line from stdin; return True only for ``y`` or ``Y``.

    At the end of input, return False. Ctrl-C during the question ends the command with exit code 0.
    """
    app.out(f"{question} [y/N] ")
    try:
        return app.stdin.readline().strip().lower() == b"y"
    except KeyboardInterrupt:
        app.out("\n")
        raise click.exceptions.Exit(0) from None


def may_remove(app: App, objects: str) -> bool:
    """Ask on stdout whether to remove ``objects``, such as "all stopped containers"; return True if the user agrees.

    The user agrees by typing ``y`` or ``Y``. Any other line, or the end of input, gives False.
    """
    return confirmed(app, f"WARNING! This will remove {objects}.\nAre you sure you want to continue?")


def print_removed(app: App, title: str, names: Sequence[str]) -> None:
    """Print a title and the names of removed objects; print nothing if there are none."""
    if names:
        app.out_lines([title, *names, ""])


Filters = Mapping[str, tuple[str, ...]]


def prune_command(short: str, removed: str) -> Callable[[Callable[[App, Filters], None]], click.Command]:
    """Return a decorator that makes a command ``prune`` from a function that removes unused objects.

    The function gets the `App` and the values of ``--filter``. ``short`` is the command's help text. ``removed`` names
    the removed objects in the question to the user.
    """

    def made(prune: Callable[[App, Filters], None]) -> click.Command:
        @command("prune [OPTIONS]", short)
        @flag("--filter", kind=FILTER, usage='Provide filter values (e.g. "until=<timestamp>")')
        @flag("--force", "-f", usage="Do not prompt for confirmation")
        @click.pass_obj
        @functools.wraps(prune)
        def run(app: App, filter: Filters, force: bool) -> None:
            if force or may_remove(app, f"all {removed}"):
                prune(app, filter)

        return run

    return made
