"""The ``hawse load`` and ``hawse image load`` commands."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.image.archive import opened_archive
from cli.pflag import STRING, command, flag


@command(
    "load [OPTIONS]", "Load an image from a tar archive or STDIN", aliases="hawse image load, hawse load",
)  # fmt: skip
@flag("--input", "-i", kind=STRING, usage="Read from tar archive file, instead of STDIN")
@flag("--quiet", "-q", usage="Suppress the load output", effect="ignored")
@click.pass_obj
def load(app: App, input: str, quiet: bool) -> None:
    """Import the images of an archive and print their names.

    ``input`` is the archive's path, or "" for standard input. An image without a name is printed by its id.
    ``quiet`` has no effect.
    """
    if not input and app.stdin.isatty():
        raise StatusError("requested load from stdin, but stdin is empty")
    with opened_archive(app, input or None) as archive:
        images = app.engine.images.load(archive)
    for image in images:
        names = [f"Loaded image: {name}" for name in image.references]
        app.out_lines(names or [f"Loaded image ID: {image.id}"])
