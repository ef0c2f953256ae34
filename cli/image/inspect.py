"""The ``hawse image inspect`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.output.documents import INSPECT_FORMAT, Json, inspect_all
from cli.pflag import STRING, at_least, command, flag


@command("inspect [OPTIONS] IMAGE [IMAGE...]", "Display detailed information on one or more images", at_least(1))
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@click.argument("images", nargs=-1)
@click.pass_obj
def inspect(app: App, images: tuple[str, ...], format: str) -> None:
    """Print the inspect documents of the images.

    ``format`` is a Go template; "" and "json" mean a JSON array.
    """

    def fetch(reference: str) -> tuple[str, Json]:
        if not reference:
            raise StatusError("Error: No such image: ")
        return "image", app.engine.images.inspect(reference)

    inspect_all(app, images, format, ["image"], fetch)
