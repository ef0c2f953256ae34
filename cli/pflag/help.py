"""Lay out help texts: usage line, description, aliases, options, list of commands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import click

from cli.pflag.flag import Flag
from cli.pflag.usage import flag_usages

NARROWEST_NAMES = 11  # minimal width, in characters, of the column of command names


def path(ctx: click.Context) -> str:
    """Return the command's full name with aliases resolved: ``hawse network ls``."""
    names = []
    at: click.Context | None = ctx
    while at is not None:
        names.append(at.command.name or "")
        at = at.parent
    return " ".join(reversed(names))


def columns() -> int:
    """Return the width of help texts in characters: one less than the width of the terminal on stdin.

    If stdin is not a terminal, the terminal is assumed to have 80 columns.
    """
    try:
        return os.get_terminal_size(0).columns - 1
    except OSError:
        return 79


def on_terminal(ctx: click.Context) -> bool:
    """Return whether help goes to a terminal; a pipe gets exactly the help text of Docker."""
    return bool(getattr(ctx.obj, "on_terminal", False))


def leaf_help(
    use: str, description: str, aliases: str, flags: Iterable[Flag], notes: str = "", *, complete: bool = False
) -> str:
    """Return the help text of one command, without a newline at the end.

    - ``use``: the usage line without "Usage:"
    - ``aliases``: the text below "Aliases:"; "" omits this section
    - ``notes``: the text after the options
    - ``complete``: also list the flags that only hawse has, and mark flags without effect
    """
    parts = [f"\nUsage:  {use}", description.strip()]
    if aliases:
        parts.append(f"Aliases:\n  {aliases}")
    options = flag_usages(flags, columns(), complete=complete)
    if options:
        parts.append(f"Options:\n{options}")
    if notes:
        parts.append(notes)
    return "\n\n".join(parts)


def parent_path(ctx: click.Context) -> str:
    """Return the path of the parent command followed by a space; return "" if there is no parent."""
    return f"{path(ctx.parent)} " if ctx.parent else ""


def group_help(
    group: click.Group, ctx: click.Context, flags: Iterable[Flag], sections: Mapping[str, Sequence[str]] | None
) -> str:
    """Return the help text of a group, without a newline at the end.

    ``sections`` maps the title of each section to the names of its commands. Without ``sections``, one section lists
    all visible commands.
    """
    line = path(ctx)
    options = flag_usages(flags, columns(), complete=on_terminal(ctx))
    parts = [f"\nUsage:  {line} {'[OPTIONS] ' if options else ''}COMMAND", (group.help or "").strip()]
    parts += listing(group, ctx, sections)
    if options:
        parts.append(f"Global Options:\n{options}")
    parts.append(f"Run '{line} COMMAND --help' for more information on a command.")
    if group.epilog:
        parts.append(group.epilog)
    return "\n\n".join(parts)


def listing(group: click.Group, ctx: click.Context, sections: Mapping[str, Sequence[str]] | None) -> list[str]:
    """Return the sections of a group's help text that list the commands, each command with a short description.

    ``sections`` maps the title of each section to the names of its commands. Without ``sections``, one section lists
    all visible commands.
    """
    every = {name: c for name in group.list_commands(ctx) if (c := group.get_command(ctx, name))}
    hidden = {n for n, c in every.items() if c.hidden and not (on_terminal(ctx) and getattr(c, "beyond_docker", False))}
    commands = {name: command for name, command in every.items() if name not in hidden}
    width = max([NARROWEST_NAMES, *map(len, commands)]) + 1
    texts = []
    for title, names in (sections or {"Commands": list(commands)}).items():
        rows = [f"  {name:<{width}}{commands[name].short_help or ''}" for name in names if name in commands]
        if rows:
            texts.append(f"{title}:\n" + "\n".join(rows))
    return texts
