"""The ``hawse load`` and ``hawse image load`` commands."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.app import App, StatusError
from cli.image.archive import shown_reading
from cli.pflag import STRING, command, flag, no_args
from engine.model import ImageRecord


@command(
    "load [OPTIONS]", "Load an image from a tar archive or STDIN", no_args, aliases="hawse image load, hawse load",
)  # fmt: skip
@flag("--input", "-i", kind=STRING, usage="Read from tar archive file, instead of STDIN")
@flag("--quiet", "-q", usage="Suppress the load output", effect="ignored")
@click.pass_obj
def load(app: App, input: str, quiet: bool) -> None:
    """Import the images of an archive and print their names."""
    for image in loaded(app, input):
        names = [f"Loaded image: {name}" for name in image.references]
        app.out_lines(names or [f"Loaded image ID: {image.id}"])


def loaded(app: App, path: str) -> Sequence[ImageRecord]:
    """Import the archive in a file, or from standard input if ``path`` is empty; return its images."""
    if not path:
        if app.stdin.isatty():
            raise StatusError("requested load from stdin, but stdin is empty")
        with shown_reading(app, app.stdin, "standard input") as archive:
            return app.engine.images.load(archive)
    try:
        with open(path, "rb") as file, shown_reading(app, file, path) as archive:
            return app.engine.images.load(archive)
    except OSError as error:
        raise StatusError(f"open {path}: {str(error.strerror).lower()}") from error
