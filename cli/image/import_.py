"""The ``hawse import`` and ``hawse image import`` commands."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.image.archive import shown_reading
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
        with shown_reading(app, app.stdin, "standard input") as archive:
            return app.engine.images.import_archive(archive, reference)
    try:
        with open(source, "rb") as file, shown_reading(app, file, source) as archive:
            return app.engine.images.import_archive(archive, reference)
    except OSError as error:
        raise StatusError(f"open {source}: {str(error.strerror).lower()}") from error
