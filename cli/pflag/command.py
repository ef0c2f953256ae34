"""click commands that parse their command line and print their help as Docker's commands do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cli.app import StatusError
from cli.pflag.arity import Arity, no_args
from cli.pflag.group import Group
from cli.pflag.help import columns, on_terminal, parent_path, path
from cli.pflag.reading import fill_arguments, flags_of, help_flag, help_if_requested, parse_flags
from cli.pflag.usage import flag_usages


class Command(click.Command):
    """A command with arguments, such as ``hawse network create``.

    ``use`` is Docker's usage text after the path of the parent command: ``create [OPTIONS] NETWORK``. ``beyond_docker``
    is True for a hidden command that Docker lacks. Completion offers such a command. The help text lists the command on
    a terminal, but not in a pipe, where the help text must be the same as Docker's.
    """

    def __init__(
        self,
        name: str | None,
        *,
        use: str = "",
        arity: Arity = no_args,
        aliases: str = "",
        interspersed: bool = True,
        beyond_docker: bool = False,
        **attrs: Any,
    ) -> None:
        super().__init__(name, add_help_option=False, **attrs)
        self.use = use
        self.arity = arity
        self.aliases = aliases
        self.interspersed = interspersed
        self.beyond_docker = beyond_docker
        self.params.append(help_flag(flags_of(self)))

    def renamed(self, name: str) -> Command:
        """Return the same command under another name: ``hawse container ls`` is ``hawse ps``."""
        other = Command.__new__(Command)
        vars(other).update(vars(self), name=name, use=f"{name} {self.use.partition(' ')[2]}")
        return other

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the flags, then handle ``--help``, then check the number of arguments, in the order of Go's cobra."""
        rest = parse_flags(self, ctx, args, interspersed=self.interspersed)
        if not ctx.resilient_parsing:
            help_if_requested(ctx)
            if not self.arity.allows(len(rest)):
                raise StatusError(self.arity_text(ctx))
        fill_arguments(ctx, self.params, rest)
        return []

    def arity_text(self, ctx: click.Context) -> str:
        """Return Docker's error text for a wrong number of arguments."""
        line = path(ctx)
        usage = f"Usage:  {parent_path(ctx)}{self.use}"
        return f"\"{line}\" {self.arity.rule}\nSee '{line} --help'.\n\n{usage}\n\n{self.help}"

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text: usage, aliases and options; on a terminal, also notes and examples."""
        complete, root = on_terminal(ctx), ctx.find_root().command
        parts = [f"\nUsage:  {parent_path(ctx)}{self.use}", (self.help or "").strip()]
        if self.aliases:
            parts.append(f"Aliases:\n  {self.aliases}")
        if options := flag_usages(flags_of(self), columns(), complete=complete):
            parts.append(f"Options:\n{options}")
        if complete and isinstance(root, Group) and (notes := root.notes(path(ctx))):
            parts.append(notes)
        return "\n\n".join(parts)


def command(
    use: str,
    short: str,
    arity: Arity = no_args,
    *,
    aliases: str = "",
    interspersed: bool = True,
    hidden: bool = False,
    beyond_docker: bool = False,
) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a command from a function.

    Use the decorator as ``@command("create [OPTIONS] NETWORK", "Create a network", exactly(1))``. The decorator stands
    above the decorators ``@flag`` and ``@click.argument``, which name the function's parameters.

    - ``short``: the description in the help.
    - ``aliases``: the text of the Aliases section in the help.
    - ``interspersed``: if False, all words after the first argument are arguments, even if they look like flags.
    - ``hidden``: help and completion omit the command, unless ``beyond_docker`` is true too (see `Command`).
    """
    return click.command(
        use.split(maxsplit=1)[0], cls=Command, use=use, help=short, short_help=short, arity=arity, aliases=aliases,
        interspersed=interspersed, hidden=hidden, beyond_docker=beyond_docker,
    )  # fmt: skip
