"""Convert click's command tree to plain values, from which the completion scripts are generated.

The scripts offer all visible commands and flags. They also offer a hidden command or flag if Docker does not have it.
The scripts treat other hidden commands and flags as follows:

- The command is omitted.
- The flag, such as ``--net``, is recognised on the command line, but not offered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click
from msgspec import Struct
from msgspec.structs import replace

from cli.completion.bindings import ARGUMENTS, FLAGS, source_of
from cli.pflag import Command, Group
from cli.pflag.reading import flags_of
from cli.pflag.usage import offered


class FlagEntry(Struct, frozen=True):
    """One flag of a command.

    - ``long``, ``short``: the flag's names, such as ``--force`` and ``-f``; ``short`` is "" without a short name, or if
      the short name is deprecated
    - ``source``: the completion source of the flag's value; "" if the flag needs no value
    - ``repeatable``: whether every use of the flag adds a value
    - ``offered``: whether the scripts offer the flag to the user
    """

    long: str
    short: str
    description: str
    source: str
    repeatable: bool
    offered: bool


class ArgumentEntry(Struct, frozen=True):
    """One argument of a command; a ``repeated`` argument stands for all remaining arguments."""

    name: str
    source: str
    repeated: bool


class CommandNode(Struct, frozen=True):
    """A command and all its ``paths`` on the command line, such as ``("run", "container run")``.

    - ``paths``: the path of ``hawse`` itself is ""
    - ``commands``: maps the name of each subcommand of a group to its description
    - ``aliases``: maps each alias to the name of its subcommand
    - ``interspersed``: whether flags are still recognised after the first argument; False for a group
    """

    paths: tuple[str, ...]
    flags: tuple[FlagEntry, ...]
    commands: Mapping[str, str]
    aliases: Mapping[str, str]
    arguments: tuple[ArgumentEntry, ...]
    interspersed: bool


def nodes(root: Group) -> list[CommandNode]:
    """Return a `CommandNode` for ``root`` and for each command that completion offers, sorted by paths.

    A command with several paths gets only one `CommandNode`.
    """
    by_command: dict[int, CommandNode] = {}
    for path, command in _walk("", root):
        known = by_command.get(id(command))
        by_command[id(command)] = replace(known, paths=(*known.paths, path)) if known else _node(path, command)
    return sorted(by_command.values(), key=lambda node: node.paths)


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, Group):
        for name in _visible(command):
            yield from _walk(f"{path} {name}".strip(), _get(command, name))


def _visible(group: Group) -> list[str]:
    """Return the names of the commands that completion offers in a group, without aliases."""
    commands = {name: _get(group, name) for name in sorted(group.lazy)}
    return [name for name, command in commands.items() if command.name == name and _is_visible(command)]


def _is_visible(command: click.Command) -> bool:
    return not command.hidden or (isinstance(command, Command) and command.beyond_docker)


def _get(group: Group, name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


def _node(path: str, command: click.Command) -> CommandNode:
    module = (command.callback.__module__ if command.callback else "").removeprefix("cli.")
    group = command if isinstance(command, Group) else None
    visible = _visible(group) if group else []
    return CommandNode(
        paths=(path,),
        flags=tuple(_flags(module, command)),
        commands={name: _get(group, name).short_help or "" for name in visible} if group else {},
        aliases={alias: name for alias in group.lazy if (name := _get(group, alias).name or "") in visible
                 and alias != name} if group else {},
        arguments=tuple(_arguments(module, command)),
        interspersed=isinstance(command, Command) and command.interspersed,
    )  # fmt: skip


def _flags(module: str, command: click.Command) -> Iterator[FlagEntry]:
    flags = flags_of(command)
    shown = offered(flags)
    for flag in sorted(flags, key=lambda flag: flag.long):
        yield FlagEntry(
            long=flag.long,
            short="" if flag.short_deprecated else flag.short,
            description=flag.usage.partition("\n")[0].replace("`", "").rstrip(":"),
            source="" if flag.kind.bare else source_of(FLAGS, module, flag.long),
            repeatable=isinstance(flag.kind.initial, (tuple, dict)),
            offered=flag.long == "--help" or flag in shown,
        )


def _arguments(module: str, command: click.Command) -> Iterator[ArgumentEntry]:
    for param in command.params:
        if isinstance(param, click.Argument):
            name = param.name or ""
            yield ArgumentEntry(name, source_of(ARGUMENTS, module, name), param.nargs < 0)
