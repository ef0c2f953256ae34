"""Colour, for terminals only: what a pipe receives never passes through here."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def bold(text: str) -> str:
    """Set one line in bold; rich is imported here because a pipe never needs it."""
    console = Console(force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(Text(text, style="bold"), end="", soft_wrap=True)
    return capture.get()
