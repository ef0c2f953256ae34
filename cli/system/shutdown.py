"""The ``hawse system shutdown`` command, which an init system runs when the host shuts down."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import command, exactly


@command("shutdown", "End all containers before the host shuts down", exactly(0))
@click.pass_obj
def shutdown(app: App) -> None:
    """End the processes of all containers, as dockerd does before the host shuts down; print their number.

    Each process gets its stop signal, and SIGKILL after its grace period. Until ``hawse system boot`` runs, no restart
    policy starts these containers again. ``hawse system boot`` starts them, even if the host has not shut down. Each
    failure is one line on stderr; the exit code is then 1.
    """
    ended, problems = app.engine.system.shut_down()
    app.out(f"Containers: {ended}\n")
    app.err_lines(problems)
    if problems:
        raise StatusError("")
