"""A shell's script: its fixed part, a file beside this one, followed by what the command tree says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files

from cli.completion import bash, fish, zsh
from cli.completion.tree import Node, nodes
from cli.pflag import Group

SHELLS: Mapping[str, Callable[[list[Node]], str]] = {"bash": bash.render, "fish": fish.render, "zsh": zsh.render}
"""What writes the variable part for a shell."""


def script(shell: str, root: Group) -> str:
    """Write the completion script of a shell."""
    fixed = (files("cli.completion") / f"engine.{shell}").read_text(encoding="utf-8")
    return fixed.replace("@TABLES@\n", SHELLS[shell](nodes(root)))
