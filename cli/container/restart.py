"""The ``hawse restart`` command."""

from __future__ import annotations

from cli.app import App
from cli.container.each import stopping_command


@stopping_command("restart", "Restart one or more containers")
def restart(app: App, container: str, timeout: int | None, signal: str) -> None:
    """Stop one container, as ``stop`` does, and start it again."""
    app.engine.containers.restart(container, timeout, signal)
