"""The ``hawse stop`` command."""

from __future__ import annotations

from cli.app import App
from cli.container.each import stopping_command


@stopping_command("stop", "Stop one or more running containers")
def stop(app: App, container: str, timeout: int | None, signal: str) -> None:
    """Stop a container with a signal, then with SIGKILL after ``timeout`` seconds.

    If ``signal`` is "" or ``timeout`` is None, the container's own setting applies. If ``timeout`` is negative, no
    SIGKILL is sent.
    """
    app.engine.containers.stop(container, timeout, signal)
