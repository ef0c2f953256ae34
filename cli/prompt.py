"""Ask before something is removed."""

from __future__ import annotations

from cli.app import App


def confirmed(app: App, question: str) -> bool:
    """Ask on stdout and read one line; only ``y`` or ``Y`` confirms, the end of input does not."""
    app.out(f"{question} [y/N] ")
    return app.stdin.readline().strip().lower() == b"y"
