"""Docker's rules for flags, built on click: the rules and the help layout of the Go packages pflag and cobra.

The package splits a command line into flags and arguments, and prints help. Import names from this package, not from
the package's modules.
"""

from cli.pflag.arity import Arity, at_least, at_most, between, exactly, no_args
from cli.pflag.command import Command, command
from cli.pflag.flag import Flag, flag
from cli.pflag.group import Group, LazyCommands
from cli.pflag.reading import changed
from cli.pflag.values import (
    BOOL,
    FILTER,
    INT,
    LIST,
    MAP,
    STRING,
    STRINGS,
    UINT,
    Kind,
    list_of,
    scalar,
)

__all__ = [
    "Arity", "BOOL", "Command", "FILTER", "Flag", "Group", "INT", "Kind", "LIST", "LazyCommands", "MAP", "STRING",
    "STRINGS", "UINT", "at_least", "at_most", "between", "changed", "command", "exactly", "flag",
    "list_of", "no_args", "scalar",
]  # fmt: skip
