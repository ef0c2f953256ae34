"""The ``hawse system check`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import command, exactly, flag


@command("check [OPTIONS]", "Check the database of networks and containers", exactly(0))
@flag("--repair", usage="Repair the database; the old file is kept")
@click.pass_obj
def check(app: App, repair: bool) -> None:
    """Print each fault of hawse's database and, with ``--repair``, each step of the repair.

    The exit code is 0 for a database that is intact or was repaired, otherwise 1.
    """
    report = app.engine.system.check(repair=repair)
    app.out_lines([*(f"damaged: {line}" for line in report.problems), *(f"repair: {line}" for line in report.done)])
    if not report.problems:
        app.out("The database is sound.\n")
    elif report.repaired:
        app.out("The database is repaired.\n")
    else:
        raise StatusError("The database is damaged (run: hawse system check --repair)")
