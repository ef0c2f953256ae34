"""The hidden ``hawse __rejoin`` command.

An adopted namespace is a network namespace that hawse did not make, but connected to networks. The agent runs the
command when an adopted namespace has ended, or when another program has made it again after a reboot.
"""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import command, exactly


@command("__rejoin", "Connect adopted namespaces whose names exist again", exactly(0), hidden=True)
@click.pass_obj
def rejoin(app: App) -> None:
    """Record which adopted namespaces have ended, and reconnect those that exist again after a reboot."""
    app.engine.containers.rejoin()
