"""Draw the progress of a download on a terminal: a bar for each layer."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from cli.output.documents import Json


def draw(messages: Iterable[Json], stream: BinaryIO, *, colour: bool) -> None:
    """Show the progress of a download on a terminal; ``messages`` are the progress messages of Docker's pull.

    A message with "progressDetail" is about one layer, and changes the bar of this layer. Any other message is printed
    as a line.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", write_through=True)
    try:
        console = Console(file=text, no_color=not colour, highlight=False)
        columns = TextColumn("{task.description}:"), TextColumn("{task.fields[status]}"), BarColumn(32)
        with Progress(*columns, DownloadColumn(), TransferSpeedColumn(), console=console) as progress:
            bars: dict[str, TaskID] = {}
            for message in messages:
                if "progressDetail" in message:
                    _update(progress, bars, message)
                else:
                    prefix = f"{message['id']}: " if message.get("id") else ""
                    console.print(f"{prefix}{message['status']}", markup=False, soft_wrap=True)
    finally:
        text.detach()


def _update(progress: Progress, bars: dict[str, TaskID], message: Json) -> None:
    layer, detail = message["id"], message["progressDetail"]
    if layer not in bars:
        bars[layer] = progress.add_task(layer, total=None, status="")
    progress.update(bars[layer], status=message["status"])
    if detail:
        progress.update(bars[layer], completed=detail["current"], total=detail["total"])
    elif message["status"] in ("Download complete", "Pull complete"):
        task = progress.tasks[bars[layer]]
        progress.update(bars[layer], completed=task.total or 1, total=task.total or 1)
