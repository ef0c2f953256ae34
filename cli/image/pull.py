"""The ``hawse pull`` and ``hawse image pull`` commands."""

from __future__ import annotations

from typing import BinaryIO

import click

from cli.app import App, StatusError
from cli.options.docker_config import registry_credentials
from cli.options.environment import chosen_platform
from cli.output.documents import Json
from cli.pflag import STRING, command, exactly, flag
from engine.errors import InvalidArgument
from engine.validate.image_reference import ImageReference, parse_reference


@command(
    "pull [OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry", exactly(1),
    aliases="hawse image pull, hawse pull",
)  # fmt: skip
@flag("--all-tags", "-a", usage="Download all tagged images in the repository", effect="refused")
@flag("--disable-content-trust", usage="Skip image verification", default_value=True, effect="ignored")
@flag("--platform", kind=STRING, usage="Set platform if server is multi-platform capable")
@flag("--quiet", "-q", usage="Suppress verbose output")
@click.argument("name")
@click.pass_obj
def pull(app: App, name: str, all_tags: bool, disable_content_trust: bool, platform: str, quiet: bool) -> None:
    """Download an image, and print the image's full name; without ``quiet``, show the progress on stdout.

    ``all_tags`` raises StatusError, because hawse does not support it. ``disable_content_trust`` has no effect.
    """
    if all_tags:
        raise StatusError("--all-tags is not supported: name one tag")
    try:
        reference = parse_reference(name)
    except InvalidArgument as error:
        raise StatusError(str(error)) from error
    if not (reference.tag or reference.digest or quiet):
        app.out("Using default tag: latest\n")
    pull_image(app, reference, chosen_platform(platform, app.environ), None if quiet else app.stdout)
    app.out(f"{reference.canonical}\n")


def pull_image(app: App, reference: ImageReference, platform: str, stream: BinaryIO | None) -> None:
    """Download an image, and write the progress to ``stream``, unless it is None; raises EngineError and StatusError.

    ``platform`` is such as "linux/arm64", or "" for this host's platform.
    """
    try:
        auth = registry_credentials(app.environ, reference.domain)
    except ValueError as error:
        raise StatusError(str(error)) from error
    messages = app.engine.images.pull(str(reference), platform, auth)
    if stream is None:
        for _ in messages:
            pass
    elif stream.isatty() and app.environ.get("TERM") != "dumb":
        app.draw_progress(messages, stream)
    else:
        for message in messages:
            if not message.get("progressDetail"):  # as Docker's client, show progress only on a terminal
                app.write(stream, line(message).encode())


def line(message: Json) -> str:
    """Return a message of a pull as one line of text, as Docker's client prints it into a pipe."""
    prefix = f"{message['id']}: " if message.get("id") else ""
    return f"{prefix}{message['status']}\n"
