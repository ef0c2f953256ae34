"""``hawse completion``: print a shell's completion script."""

from __future__ import annotations

from typing import cast

import click

from cli.app import App
from cli.completion.scripts import SHELLS, script
from cli.errors import StatusError
from cli.pflag import Group, command, exactly


@command("completion bash|fish|zsh", "Print the tab completion script of a shell", exactly(1))
@click.argument("shell")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script, to be sourced or put where the shell looks for it."""
    app: App = ctx.obj
    if shell not in SHELLS:
        raise StatusError(f"hawse completion: '{shell}' is not a shell it knows: use bash, fish or zsh")
    app.out(script(shell, cast("Group", ctx.find_root().command)))
