"""The ``hawse tag`` and ``hawse image tag`` commands."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import check_reference, path_segment
from cli.pflag import command, exactly


@command(
    "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", exactly(2),
    aliases="hawse image tag, hawse tag",
)  # fmt: skip
@click.argument("image")
@click.argument("name")
@click.pass_obj
def tag(app: App, image: str, name: str) -> None:
    """Give an image one more name."""
    try:
        target = check_reference(name)
    except ValueError as error:
        raise StatusError(f'Error parsing reference: "{name}" is not a valid repository/tag: {error}') from error
    app.engine.images.tag(path_segment(image), target)
