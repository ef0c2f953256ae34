"""The hidden ``hawse __rejoin`` command, which the agent runs when the name of an adopted namespace exists again."""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import command, exactly


@command("__rejoin", "Connect adopted namespaces whose names exist again", exactly(0), hidden=True)
@click.pass_obj
def rejoin(app: App) -> None:
    """Reconnect each adopted namespace that lost its networks at a reboot and exists again."""
    app.engine.containers.rejoin()
