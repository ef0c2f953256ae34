"""The ``hawse restart`` command."""

from __future__ import annotations

from cli.app import App
from cli.container.each import stopping_command


@stopping_command("restart", "Restart one or more containers")
def restart(app: App, container: str, timeout: int | None, signal: str) -> None:
    """Stop one container and start it again.

    The container is stopped with a signal, then with SIGKILL after ``timeout`` seconds. If ``signal`` is "" or
    ``timeout`` is None, the container's own setting applies. If ``timeout`` is negative, no SIGKILL is sent.
    """
    app.engine.containers.restart(container, timeout, signal)
