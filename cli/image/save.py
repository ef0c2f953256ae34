"""The ``hawse save`` and ``hawse image save`` commands."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from cli.app import App, StatusError
from cli.pflag import STRING, at_least, command, flag
from engine.errors import reason_of


@command(
    "save [OPTIONS] IMAGE [IMAGE...]", "Save one or more images to a tar archive (streamed to STDOUT by default)",
    at_least(1), aliases="hawse image save, hawse save",
)  # fmt: skip
@flag("--output", "-o", kind=STRING, usage="Write to a file, instead of STDOUT")
@click.argument("images", nargs=-1)
@click.pass_obj
def save(app: App, images: tuple[str, ...], output: str) -> None:
    """Write images as an archive for ``load``; all files of an image are in one layer of the archive.

    ``output`` is the archive's path, or "" for standard output, which must not be a terminal.
    """
    if not output and app.stdout.isatty():
        raise StatusError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    if not output:
        app.engine.images.save(images, app.stdout)
        app.stdout.flush()
        return
    _save_to_file(app, images, Path(output))


def _save_to_file(app: App, images: tuple[str, ...], path: Path) -> None:
    """Write the archive to a new file; the complete new file then replaces the file at ``path``, as in Docker."""
    if not path.parent.is_dir():
        raise StatusError(f'failed to save image: invalid output path: directory "{path.parent}" does not exist')
    if path.exists() and not (path.is_file() or path.is_dir()):
        kind = "got a device" if path.is_char_device() or path.is_block_device() else "got an irregular file"
        text = f'invalid output path: "{path}" must be a directory or a regular file: {kind}'
        raise StatusError(f"failed to save image: {text}")
    try:
        descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=".hawse-save-")
        try:
            with open(descriptor, "wb") as file:
                app.engine.images.save(images, file)
            os.replace(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise StatusError(f"failed to save image: {reason_of(error)}") from error
