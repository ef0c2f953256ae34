"""The ``hawse import`` and ``hawse image import`` commands."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import BinaryIO, cast

import click

from cli.app import App, StatusError
from cli.options.image_reference import check_reference
from cli.pflag import LIST, STRING, at_least, command, flag

URL_SCHEMES = ("http://", "https://")


@command(
    "import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]", "Import the contents from a tarball to create a filesystem image",
    at_least(1), aliases="hawse image import, hawse import",
)  # fmt: skip
@flag("--change", "-c", kind=LIST, usage="Apply Dockerfile instruction to the created image", effect="refused")
@flag("--message", "-m", kind=STRING, usage="Set commit message for imported image", effect="ignored")
@flag("--platform", kind=STRING, usage="Set platform if server is multi-platform capable", effect="ignored")
@click.argument("source")
@click.argument("name", required=False)
@click.pass_obj
def import_(app: App, source: str, name: str | None, change: tuple[str, ...], message: str, platform: str) -> None:
    """Import an image archive and print the image's id.

    The archive is a root file system or the output of ``docker save``.
    """
    if change:
        raise StatusError("--change is not supported")
    if source.startswith(URL_SCHEMES):
        raise StatusError(f"{source}: hawse does not download: fetch it first, then import the file or -")
    try:
        reference = check_reference(name) if name else ""
    except ValueError as error:
        raise StatusError(str(error)) from error
    app.out(import_from(app, source, reference) + "\n")


def import_from(app: App, source: str, reference: str) -> str:
    """Import an archive from a file, or from standard input if ``source`` is ``-``; return the image's id."""
    if source == "-":
        return read(app, app.stdin, "standard input", reference)
    try:
        with open(source, "rb") as archive:
            return read(app, archive, source, reference)
    except OSError as error:
        raise StatusError(f"open {source}: {str(error.strerror).lower()}") from error


def read(app: App, archive: BinaryIO, name: str, reference: str) -> str:
    """Import an open archive and return the image's id; a terminal shows how much of it has been read."""
    if not app.may_color(app.stderr):
        return app.engine.images.import_archive(archive, reference)
    file = os.fstat(archive.fileno())
    with app.waiting(f"Importing {name}", file.st_size if stat.S_ISREG(file.st_mode) else 0) as done:
        return app.engine.images.import_archive(cast("BinaryIO", Counted(archive, done)), reference)


class Counted:
    """A stream for reading that reports how many bytes were read."""

    def __init__(self, stream: BinaryIO, done: Callable[[int], None]) -> None:
        self.stream, self.done, self.count = stream, done, 0

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes."""
        data = self.stream.read(size)
        self.count += len(data)
        self.done(self.count)
        return data
