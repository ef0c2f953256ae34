"""The global flags ``--explain`` and ``--dry-run``: after the command, print its changes to the kernel on stderr.

The changes are printed as equivalent shell commands. In a dry run, the command itself prints nothing on stdout.
"""

from __future__ import annotations

import io

from cli.app import App, shell_colours
from cli.output.terminal_escapes import escaped
from engine import explain
from engine.api import Engine
from engine.explain import DryRun

NOTHING = "# Nothing was changed in the kernel."
DRY = "# A dry run: nothing was done. Ids and names that are made from them are examples."
_dry_runs: list[DryRun] = []


def record() -> None:
    """Record this process's changes to the kernel from now on."""
    explain.start()


def dry_engine(app: App) -> Engine:
    """Return an engine that only records the changes that it would make; discard the app's output to stdout."""
    app.stdout = io.BytesIO()
    dry_run = DryRun()
    _dry_runs.append(dry_run)
    explain.start(dry_run=True)
    return dry_run.open()


def show(app: App) -> None:
    """Print the recorded changes to the kernel as shell commands on stderr, and end the recording.

    On a terminal, the shell commands are in colour. If an error ended the command before its dry run began, nothing is
    printed.
    """
    commands = explain.stop()
    if app.is_dry_run and not _dry_runs:
        return  # an error ended the command before its dry run began
    text = "".join(f"{command}\n" for command in ([DRY, *commands] if _dry_runs else commands or [NOTHING]))
    while _dry_runs:
        dry_run = _dry_runs.pop()
        text = dry_run.shown(text)
        dry_run.close()
    if app.has_color(app.stderr):
        app.write_text(app.stderr, shell_colours(escaped(text)))
    else:
        app.err(text)
