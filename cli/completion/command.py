"""``hawse completion``: print a shell's completion script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import cast

import click

from cli.app import App, StatusError
from cli.completion import bash, fish, zsh
from cli.completion.tree import CommandNode, nodes
from cli.pflag import Group, command, exactly


@command("completion bash|fish|zsh", "Print the tab completion script of a shell", exactly(1))
@click.argument("shell")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the shell's completion script.

    The user sources the output or saves it where the shell looks for scripts.
    """
    app: App = ctx.obj
    if shell.lower() in ("powershell", "pwsh"):
        raise StatusError("hawse completion: hawse has no script for PowerShell: use bash, fish or zsh")
    if shell not in SHELLS:
        raise StatusError(f"hawse completion: unknown shell '{shell}': use bash, fish or zsh")
    app.out(script(shell, cast("Group", ctx.find_root().command)))


SHELLS: Mapping[str, Callable[[list[CommandNode]], str]] = {"bash": bash.render, "fish": fish.render, "zsh": zsh.render}
"""Maps a shell to the function that generates the part of the script that depends on hawse's commands."""


def script(shell: str, root: Group) -> str:
    """Return the completion script of ``shell`` ("bash", "zsh" or "fish"); ``root`` is the command ``hawse``."""
    fixed = (files("cli.completion") / f"engine.{shell}").read_text(encoding="utf-8")
    return fixed.replace("@TABLES@\n", SHELLS[shell](nodes(root)))
