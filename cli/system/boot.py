"""The ``hawse system boot`` command, which an init system runs once after each boot of the host."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import INT, command, exactly, flag


@command("boot [OPTIONS]", "Restore networks, containers and adopted namespaces after a boot", exactly(0))
@flag("--timeout", kind=INT, default_value=60, usage="Seconds to wait for the cluster's store")
@click.pass_obj
def boot(app: App, timeout: int) -> None:
    """Restore networks, containers and adopted namespaces after a boot; print how many of each were restored.

    Adopted namespaces are namespaces that hawse did not create, but connected to a network. The restart policies decide
    which containers are restored. ``timeout`` is how many seconds the command waits for the cluster's store. Each
    failure is one line on stderr; the exit code is then 1. An adopted namespace that does not exist yet also gives a
    line on stderr, but is no failure. The command is idempotent, and continues the work of a killed command.
    """
    done = app.engine.system.boot(max(timeout, 0))
    app.out(f"Networks: {done.networks}, containers: {done.containers}, namespaces: {done.namespaces}\n")
    app.err_lines(f"{name}: not there yet" for name in done.absent)
    app.err_lines(done.problems)
    if done.problems:
        raise StatusError("")
