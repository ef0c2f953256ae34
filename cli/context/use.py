"""The ``hawse context use`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.context.default import check_name
from cli.pflag import at_least, command


@command("use CONTEXT", "Set the current docker context", at_least(0))
@click.argument("names", nargs=-1)
@click.pass_obj
def use(app: App, /, names: tuple[str, ...]) -> None:
    """Accept the only context, and refuse any other name; nothing is stored."""
    if len(names) != 1:
        raise StatusError(f"accepts 1 arg(s), received {len(names)}")
    check_name(names[0])
    app.out(f"{names[0]}\n")
    app.err(f'Current context is now "{names[0]}"\n')
