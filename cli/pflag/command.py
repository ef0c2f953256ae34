"""Commands and groups that read their command line and print their help as Docker's do.

A group is lazy: a table names each command's module, which is imported only when the command runs or its help is
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import click
from click.core import ParameterSource

from cli.errors import FLAG_ERROR, StatusError
from cli.pflag.arity import Arity, no_args
from cli.pflag.flag import Flag
from cli.pflag.help import group_help, leaf_help, path
from cli.pflag.parser import FlagError, FlagSet
from cli.pflag.values import BOOL

LazyCommands = Mapping[str, str]
"""A command's name to where it is: ``cli.network.create:create``."""


class Command(click.Command):
    """A command with arguments. ``use`` is Docker's usage after the path: ``create [OPTIONS] NETWORK``."""

    def __init__(
        self,
        name: str | None,
        *,
        use: str = "",
        arity: Arity = no_args,
        aliases: str = "",
        interspersed: bool = True,
        **attrs: Any,
    ) -> None:
        super().__init__(name, add_help_option=False, **attrs)
        self.use = use
        self.arity = arity
        self.aliases = aliases
        self.interspersed = interspersed
        self.params.append(help_flag(self.flags))

    @property
    def flags(self) -> list[Flag]:
        """The command's flags, ``--help`` among them."""
        return [p for p in self.params if isinstance(p, Flag)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line in cobra's order: flags, then help, then the number of arguments."""
        rest = parse_flags(self, ctx, args, interspersed=self.interspersed)
        if not ctx.resilient_parsing:
            help_if_wanted(ctx)
            if not self.arity.allows(len(rest)):
                raise StatusError(self.arity_text(ctx))
        fill_arguments(ctx, self.params, rest)
        return []

    def arity_text(self, ctx: click.Context) -> str:
        """Docker's text about a wrong number of arguments."""
        line = path(ctx)
        usage = f"Usage:  {parent_path(ctx)}{self.use}"
        return f"\"{line}\" {self.arity.rule}\nSee '{line} --help'.\n\n{usage}\n\n{self.help}"

    def get_help(self, ctx: click.Context) -> str:
        """Print usage, aliases and options."""
        return leaf_help(f"{parent_path(ctx)}{self.use}", self.help or "", self.aliases, self.flags)


class Group(click.Group):
    """A lazy group of commands; ``sections`` titles the listing (default: one section of all visible commands)."""

    def __init__(
        self,
        name: str,
        lazy: LazyCommands,
        *,
        sections: Mapping[str, Sequence[str]] | None = None,
        flags_in_usage: bool = False,
        **attrs: Any,
    ) -> None:
        super().__init__(name, add_help_option=False, invoke_without_command=True, **attrs)
        self.lazy = lazy
        self.sections = sections
        self.flags_in_usage = flags_in_usage
        self.params.append(help_flag(self.flags))

    @property
    def flags(self) -> list[Flag]:
        """The group's flags, ``--help`` among them."""
        return [p for p in self.params if isinstance(p, Flag)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, aliases left out."""
        return sorted(name for name in self.lazy if (c := self.get_command(ctx, name)) and c.name == name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        target = self.lazy.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names, by name or alias."""
        found = self.get_command(ctx, args[0])
        if found is None and not ctx.resilient_parsing:
            parse_flags(self, ctx, args, interspersed=True)
            help_if_wanted(ctx)
            raise self.unknown(ctx, args)
        return (found.name if found else None), found, args[1:]

    def unknown(self, ctx: click.Context, args: list[str]) -> StatusError:
        """Make the error for arguments that begin with no command."""
        return StatusError("\n" + self.get_help(ctx).strip("\n"))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the flags before the command."""
        ctx.args = parse_flags(self, ctx, args, interspersed=False)
        if not ctx.args and not ctx.resilient_parsing:
            help_if_wanted(ctx)
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name; without any, print help on stderr."""
        if not ctx.args:
            ctx.obj.err(self.get_help(ctx) + "\n")
            return None
        name, command, args = self.resolve_command(ctx, ctx.args)
        assert command is not None
        click.Command.invoke(self, ctx)
        with command.make_context(name, args, parent=ctx) as sub:
            return sub.command.invoke(sub)

    def get_help(self, ctx: click.Context) -> str:
        """Print usage and the listing of commands."""
        return group_help(self, ctx)


def command(
    use: str, short: str, arity: Arity = no_args, *, aliases: str = "", interspersed: bool = True, hidden: bool = False
) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function: ``@command("create [OPTIONS] NETWORK", "Create a network", exactly(1))``.

    Put it above ``@flag`` and ``@click.argument``, which name the parameters. With ``interspersed=False`` flags end at
    the first argument. ``aliases`` is the text of the Aliases section.
    """
    return click.command(
        use.split(maxsplit=1)[0], cls=Command, use=use, help=short, short_help=short, arity=arity, aliases=aliases,
        interspersed=interspersed, hidden=hidden,
    )  # fmt: skip


def changed(ctx: click.Context, key: str) -> bool:
    """Say whether a flag was given on the command line."""
    return ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE


def help_flag(flags: Iterable[Flag]) -> Flag:
    """Make ``--help``: hidden, with a deprecated ``-h``, except where ``-h`` is a flag of the command."""
    if any(f.short == "-h" for f in flags):
        return Flag(["--help"], kind=BOOL, usage="Print usage", expose_value=False)
    return Flag(
        ["--help", "-h"], kind=BOOL, usage="Print usage", expose_value=False, hidden=True,
        short_deprecated="please use --help",
    )  # fmt: skip


def parent_path(ctx: click.Context) -> str:
    """The path of the parent with a blank behind it."""
    return f"{path(ctx.parent)} " if ctx.parent else ""


def parse_flags(node: Command | Group, ctx: click.Context, args: Sequence[str], *, interspersed: bool) -> list[str]:
    """Read flags into ``ctx.params``; the arguments left over. Flag errors carry usage only for groups."""
    flags = FlagSet(node.flags, (lambda _: None) if ctx.resilient_parsing else lambda line: ctx.obj.out(line + "\n"))
    try:
        rest = flags.parse(args, interspersed=interspersed)
    except FlagError as error:
        if not ctx.resilient_parsing:
            usage = f"\n{node.get_help(ctx)}\n" if isinstance(node, Group) else ""
            raise StatusError(f"{error}\nSee '{path(ctx)} --help'.{usage}", FLAG_ERROR) from error
        rest = []
    for option in node.flags:
        given = option.key in flags.changed
        if option.key in ctx.params and not given:
            continue  # a group reads its flags again behind a word that is no command
        ctx.set_parameter_source(option.key, ParameterSource.COMMANDLINE if given else ParameterSource.DEFAULT)
        if option.expose_value:
            ctx.params[option.key] = flags.values[option.key]
    ctx.meta["cli.help"] = ctx.meta.get("cli.help", False) or flags.values["help"]
    return rest


def help_if_wanted(ctx: click.Context) -> None:
    """Print help on stdout and end, if ``--help`` was given here or to a parent."""
    if ctx.meta.get("cli.help"):
        ctx.obj.out(ctx.command.get_help(ctx) + "\n")
        raise click.exceptions.Exit(0)


def fill_arguments(ctx: click.Context, params: Sequence[click.Parameter], rest: Sequence[str]) -> None:
    """Give the arguments, already counted, their names; a missing one is None."""
    left = list(rest)
    for param in params:
        if not isinstance(param, click.Argument):
            continue
        given = bool(left)
        if param.nargs < 0:
            ctx.params[param.name or ""], left = tuple(left), []
        else:
            ctx.params[param.name or ""] = left.pop(0) if left else None
        ctx.set_parameter_source(param.name or "", ParameterSource.COMMANDLINE if given else ParameterSource.DEFAULT)
