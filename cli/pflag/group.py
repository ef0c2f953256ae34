"""Groups of commands that find, list and run their commands as Docker's groups do.

A group is lazy: a table names the module of each command. The module is imported only when the command runs or its help
text is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from cli.app import StatusError
from cli.pflag.help import columns, on_terminal, path
from cli.pflag.reading import flags_of, help_flag, help_if_requested, parse_flags
from cli.pflag.usage import flag_usages
from engine.validate.nearest import nearest

NARROWEST_NAMES = 11  # minimal width, in characters, of the column of command names


class Group(click.Group):
    """A group of commands, which imports the module of a command only when the command is needed.

    - ``lazy``: maps each name to the location of the command with this name, such as ``cli.network.create:create``; if
      the command at this location has another name, the name in the map is an alias
    - ``help``: the description in the group's own help and in the list of commands that contains the group
    - ``sections``: maps the titles of the sections in the group's help to the commands that each section lists; without
      it, one section lists all visible commands
    """

    def __init__(
        self,
        name: str,
        lazy: Mapping[str, str],
        *,
        help: str,
        sections: Mapping[str, Sequence[str]] | None = None,
        **attrs: Any,
    ) -> None:
        super().__init__(name, help=help, short_help=help, add_help_option=False, invoke_without_command=True, **attrs)
        self.lazy = lazy
        self.sections = sections
        self.params.append(help_flag(flags_of(self)))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the group's commands, without aliases."""
        return sorted(name for name in self.lazy if (c := self.get_command(ctx, name)) and c.name == name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command with this name; return None if the name is unknown."""
        target = self.lazy.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names; return its name, the command and the remaining arguments.

        ``args`` begins after the group's flags. The first argument may be an alias; the returned name is the command's
        own name. If no command has this name or alias:

        - A command that Docker has but hawse lacks: raises StatusError.
        - ``--help`` among ``args``: prints the group's help and exits with 0.
        - Any other case: raises StatusError.
        """
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            self.refuse_absent(ctx, args[0])
            parse_flags(self, ctx, args, interspersed=True)
            help_if_requested(ctx)
            if name := nearest(args[0], (n for n in self.lazy if not n.startswith("_"))):
                ctx.obj.hint = f"\nDid you mean '{path(ctx)} {name}'?"
            raise self.unknown(ctx, args)
        return (command.name if command else None), command, args[1:]

    def refuse_absent(self, ctx: click.Context, name: str) -> None:
        """Raise StatusError if Docker has the command ``name`` in this group, but hawse lacks it.

        The error text says why hawse lacks the command.
        """
        root, line = ctx.find_root().command, path(ctx)
        why = root.absent(f"{line} {name}") if isinstance(root, Group) else ""
        if why:
            raise StatusError(f"{line}: '{name}' is not a hawse command.\n{why}\nSee '{line} --help'")

    def absent(self, line: str) -> str:
        """Return the reason why hawse lacks the command ``line``, such as ``hawse image push``, or "" if none is known.

        This class knows none; a subclass may know the reason.
        """
        return ""

    def unknown(self, ctx: click.Context, args: list[str]) -> StatusError:
        """Return the error for an unknown command; the error's text is the group's help."""
        return StatusError("\n" + self.get_help(ctx).strip("\n"))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's flags, which come before the command's name; return the remaining arguments."""
        ctx.args = parse_flags(self, ctx, args, interspersed=False)
        if not ctx.args and not ctx.resilient_parsing:
            help_if_requested(ctx)
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name; without arguments, print the help text on stderr."""
        if not ctx.args:
            ctx.obj.help(self.get_help(ctx) + "\n", ctx.obj.stderr)
            return None
        name, command, args = self.resolve_command(ctx, ctx.args)
        assert command is not None
        click.Command.invoke(self, ctx)
        with command.make_context(name, args, parent=ctx) as sub:
            root = ctx.find_root().command
            if isinstance(root, Group):
                root.check(sub)
            return sub.command.invoke(sub)

    def check(self, ctx: click.Context) -> None:
        """Raise StatusError if a global flag of ``hawse`` forbids the command.

        ``ctx`` is the command's context, with parsed flags. This class allows all commands; a subclass may forbid some.
        """

    def notes(self, line: str) -> str:
        """Return the notes at the end of the help of the command ``line``, such as ``hawse network create``.

        Only a terminal gets these notes. This class has none; a subclass may have some.
        """
        return ""

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text: usage, the list of commands and the options."""
        line = path(ctx)
        options = flag_usages(flags_of(self), columns(), complete=on_terminal(ctx))
        parts = [f"\nUsage:  {line} {'[OPTIONS] ' if options else ''}COMMAND", (self.help or "").strip()]
        parts += self._listing(ctx)
        if options:
            parts.append(f"Global Options:\n{options}")
        parts.append(f"Run '{line} COMMAND --help' for more information on a command.")
        if self.epilog:
            parts.append(self.epilog)
        return "\n\n".join(parts)

    def _listing(self, ctx: click.Context) -> list[str]:
        """Return the sections of the help text that list the commands, each command with a short description."""
        every = {name: c for name in self.list_commands(ctx) if (c := self.get_command(ctx, name))}
        beyond_docker = on_terminal(ctx)  # a pipe gets only Docker's commands
        commands = {
            name: command
            for name, command in every.items()
            if not command.hidden or (beyond_docker and getattr(command, "beyond_docker", False))
        }
        width = max([NARROWEST_NAMES, *map(len, commands)]) + 1
        texts = []
        for title, names in (self.sections or {"Commands": list(commands)}).items():
            rows = [f"  {name:<{width}}{commands[name].short_help or ''}" for name in names if name in commands]
            if rows:
                texts.append(f"{title}:\n" + "\n".join(rows))
        return texts
