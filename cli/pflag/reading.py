"""Parse a command line into a click context, in the same way for commands and groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
from click.core import ParameterSource

from cli.app import FLAG_ERROR, StatusError
from cli.pflag.flag import Flag
from cli.pflag.help import path
from cli.pflag.parser import FlagError, FlagSet
from cli.pflag.usage import offered
from cli.pflag.values import BOOL
from engine.validate.nearest import nearest

HELP_REQUESTED = "cli.help"
"""Key in click's ``ctx.meta``. The value says whether ``--help`` was given to a command or to one of its groups.

A group and its commands share ``ctx.meta``.
"""


def flags_of(node: click.Command) -> list[Flag]:
    """Return the flags of a command or group, including ``--help``."""
    return [p for p in node.params if isinstance(p, Flag)]


def changed(ctx: click.Context, key: str) -> bool:
    """Return whether a flag was given on the command line; ``key`` is the flag's parameter name."""
    return ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE


def help_flag(flags: Iterable[Flag]) -> Flag:
    """Return the flag ``--help`` for a command with the flags ``flags``.

    If no other flag has the short name ``-h``, ``-h`` also means ``--help``, but with a warning. In this case, the help
    text does not show ``--help``.
    """
    if any(f.short == "-h" for f in flags):
        return Flag(["--help"], kind=BOOL, usage="Print usage", expose_value=False)
    return Flag(
        ["--help", "-h"], kind=BOOL, usage="Print usage", expose_value=False, hidden=True,
        short_deprecated="please use --help",
    )  # fmt: skip


def parse_flags(node: click.Command, ctx: click.Context, args: Sequence[str], *, interspersed: bool) -> list[str]:
    """Parse the flags into ``ctx.params`` and return the remaining arguments; raises StatusError if a flag is invalid.

    For a group, the error text also contains the group's help text.
    """
    common = everywhere(node, ctx)
    flags = FlagSet(
        [*common, *flags_of(node)], (lambda _: None) if ctx.resilient_parsing else lambda line: ctx.obj.out(line + "\n")
    )
    try:
        rest = flags.parse(args, interspersed=interspersed)
    except FlagError as error:
        if not ctx.resilient_parsing:
            if name := nearest(error.unknown, (f.long for f in offered(flags_of(node)))):
                ctx.obj.hint = f"\nDid you mean {name}?"
            usage = f"\n{node.get_help(ctx)}\n" if isinstance(node, click.Group) else ""
            raise StatusError(f"{error}\nSee '{path(ctx)} --help'.{usage}", FLAG_ERROR) from error
        rest = []
    for option in flags_of(node):
        explicit = option.key in flags.changed
        if option.key in ctx.params and not explicit:
            # For an unknown command, `Group.resolve_command` calls this function again, with the rest of the command
            # line. A flag that is not in the rest keeps its first value.
            continue
        ctx.set_parameter_source(option.key, ParameterSource.COMMANDLINE if explicit else ParameterSource.DEFAULT)
        if option.expose_value:
            ctx.params[option.key] = flags.values[option.key]
    ctx.find_root().params.update({f.key: flags.values[f.key] for f in common if f.key in flags.changed})
    ctx.meta[HELP_REQUESTED] = ctx.meta.get(HELP_REQUESTED, False) or flags.values["help"]
    return rest


def everywhere(node: click.Command, ctx: click.Context) -> list[Flag]:
    """Return the global flags that a command or group also accepts after its name; return [] for ``hawse`` itself."""
    root = ctx.find_root().command
    return [] if root is node else [flag for flag in flags_of(root) if flag.everywhere]


def help_if_requested(ctx: click.Context) -> None:
    """Print help on stdout and exit with 0 if ``--help`` was given to this command or to a parent command."""
    if ctx.meta.get(HELP_REQUESTED):
        ctx.obj.help(ctx.command.get_help(ctx) + "\n")
        raise click.exceptions.Exit(0)


def fill_arguments(ctx: click.Context, params: Sequence[click.Parameter], rest: Sequence[str]) -> None:
    """Assign the arguments in ``rest`` to the parameters in ``params``; the caller has checked their number.

    A missing argument is None. A parameter for several arguments gets a tuple, which may be empty.
    """
    left = list(rest)
    for param in params:
        if not isinstance(param, click.Argument):
            continue
        explicit = bool(left)
        if param.nargs < 0:
            ctx.params[param.name or ""], left = tuple(left), []
        else:
            ctx.params[param.name or ""] = left.pop(0) if left else None
        ctx.set_parameter_source(param.name or "", ParameterSource.COMMANDLINE if explicit else ParameterSource.DEFAULT)
