"""Facts for help texts and error texts: a command's full name, the text's width, and whether a terminal shows help."""

from __future__ import annotations

import os

import click


def path(ctx: click.Context) -> str:
    """Return the command's full name with aliases resolved: ``hawse network ls``."""
    names = []
    at: click.Context | None = ctx
    while at is not None:
        names.append(at.command.name or "")
        at = at.parent
    return " ".join(reversed(names))


def parent_path(ctx: click.Context) -> str:
    """Return the path of the parent command followed by a space; return "" if there is no parent."""
    return f"{path(ctx.parent)} " if ctx.parent else ""


def columns() -> int:
    """Return the width of help texts in characters: one less than the width of the terminal on stdin.

    Returns 79 if stdin is not a terminal.
    """
    try:
        return os.get_terminal_size(0).columns - 1
    except OSError:
        return 79


def on_terminal(ctx: click.Context) -> bool:
    """Return whether help goes to a terminal; a pipe gets exactly the help text of Docker."""
    return bool(getattr(ctx.obj, "on_terminal", False))
