"""Read flags and print help by the rules of the Go packages pflag and cobra, which Docker uses; built on click.

The package splits a command line into flags and arguments. Import names from this package, not from the package's
modules.
"""

from cli.pflag.arity import at_least, at_most, between, exactly
from cli.pflag.command import Command, command
from cli.pflag.flag import Flag, flag
from cli.pflag.group import Group
from cli.pflag.reading import changed
from cli.pflag.values import FILTER, INT, LIST, MAP, STRING, STRINGS, Kind, list_of, scalar

__all__ = [
    "Command", "FILTER", "Flag", "Group", "INT", "Kind", "LIST", "MAP", "STRING", "STRINGS", "at_least", "at_most",
    "between", "changed", "command", "exactly", "flag", "list_of", "scalar",
]  # fmt: skip
