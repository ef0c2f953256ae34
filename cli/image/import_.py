"""The ``hawse import`` and ``hawse image import`` commands."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.image.archive import opened_archive
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

    The archive is a root file system or the output of ``docker save``. ``source`` is the archive's path, or "-" for
    standard input. ``name`` is the name of the new image, or None if the user gave none. Raises StatusError for a URL,
    and for ``change``, which hawse does not support. ``message`` and ``platform`` have no effect.
    """
    if change:
        raise StatusError("--change is not supported")
    if source.startswith(URL_SCHEMES):
        raise StatusError(f"{source}: hawse does not download: fetch it first, then import the file or -")
    try:
        reference = check_reference(name) if name else ""
    except ValueError as error:
        raise StatusError(str(error)) from error
    with opened_archive(app, None if source == "-" else source) as archive:
        image_id = app.engine.images.import_archive(archive, reference)
    app.out(image_id + "\n")
