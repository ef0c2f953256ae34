"""The ``hawse tag`` and ``hawse image tag`` commands."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import check_reference
from cli.pflag import command, exactly
from engine.errors import InvalidArgument
from engine.golang.strconv import quote
from engine.validate.image_reference import parse_reference


@command(
    "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", exactly(2),
    aliases="hawse image tag, hawse tag",
)  # fmt: skip
@click.argument("image")
@click.argument("name")
@click.pass_obj
def tag(app: App, image: str, name: str) -> None:
    """Give an image one more name; raises StatusError with the error of Docker's client if a name is invalid."""
    reference = image
    try:
        check_reference(image)
        reference = name
        target = parse_reference(name)
    except (ValueError, InvalidArgument) as error:
        raise StatusError(
            f"Error parsing reference: {quote(reference)} is not a valid repository/tag: {error}"
        ) from error
    if target.digest:
        raise StatusError("refusing to create a tag with a digest reference")
    app.engine.images.tag(image, str(target))
