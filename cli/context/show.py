"""The ``hawse context show`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.context.default import DEFAULT
from cli.pflag import command


@command("show", "Print the name of the current context")
@click.pass_obj
def show(app: App) -> None:
    """Print the name of the only context."""
    app.out(f"{DEFAULT}\n")
