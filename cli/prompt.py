"""Ask before something is removed."""

from __future__ import annotations

import click

from cli.app import App


def confirmed(app: App, question: str) -> bool:
    """Ask on stdout and read one line; only ``y`` or ``Y`` confirms, the end of input does not.

    An interrupt at the question ends the command, without a failure.
    """
    app.out(f"{question} [y/N] ")
    try:
        return app.stdin.readline().strip().lower() == b"y"
    except KeyboardInterrupt:
        app.out("\n")
        raise click.exceptions.Exit(0) from None
