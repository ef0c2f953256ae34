"""The ``hawse help`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import at_least, command


@command("help [command]", "Help about the command", at_least(0), hidden=True)
@click.argument("words", nargs=-1)
@click.pass_context
def show_help(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Print the help of the command that ``words`` names, such as ``network create``.

    Without words, print the help of ``hawse`` itself.
    """
    app: App = ctx.obj
    at = ctx.find_root()
    for index, word in enumerate(words):
        child = at.command.get_command(at, word) if isinstance(at.command, click.Group) else None
        if child is None:
            raise StatusError(f"unknown help topic: {' '.join(words[index:])}")
        at = click.Context(child, parent=at, info_name=child.name)
    app.help(at.command.get_help(at) + "\n")
