"""The hidden ``hawse __answer`` command: answer a question that ``hawse trace`` on another host asks about this host.

The agent, a resident process of hawse, runs the command.
"""

from __future__ import annotations

import sys

import click

from cli.app import App
from cli.pflag import command, exactly

LONGEST_QUESTION = 4096  # characters


@command("__answer", "Answer another host's question about this host's side of a path", exactly(0), hidden=True)
@click.pass_obj
def answer(app: App) -> None:
    """Read another host's question from stdin and print the answer, both as JSON; print nothing to refuse an answer."""
    app.out(app.engine.system.answer(sys.stdin.read(LONGEST_QUESTION)))
