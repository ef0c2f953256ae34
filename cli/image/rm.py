"""The ``hawse rmi`` and ``hawse image rm`` commands."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.pflag import at_least, command, flag, flag_set
from engine.errors import EngineError, NotFound

ALIASES = "hawse image rm, hawse image remove, hawse rmi"
SHORT = "Remove one or more images"
removal_flags = flag_set(
    flag("--force", "-f", usage="Force removal of the image"),
    flag("--no-prune", usage="Do not delete untagged parents", effect="ignored"),
    click.argument("images", nargs=-1),
)


@command("rmi [OPTIONS] IMAGE [IMAGE...]", SHORT, at_least(1), aliases=ALIASES)
@removal_flags
@click.pass_obj
def rmi(app: App, images: tuple[str, ...], force: bool, no_prune: bool) -> None:
    """Remove the images, which the user names by name or id.

    - By name: if the image has other names, only this name is removed, and the image stays.
    - By id: all names are removed. Without ``force``, it is an error if the image has several names.

    With ``force``, a missing image does not make the command fail. ``no_prune`` has no effect.
    """
    remove_images(app, images, force=force)


@command("rm [OPTIONS] IMAGE [IMAGE...]", SHORT, at_least(1), aliases=ALIASES)
@removal_flags
@click.pass_obj
def rm(app: App, images: tuple[str, ...], force: bool, no_prune: bool) -> None:
    """Do the same as ``rmi``; this is the command ``rm`` in the group ``hawse image``."""
    remove_images(app, images, force=force)


def remove_images(app: App, images: tuple[str, ...], *, force: bool) -> None:
    """Remove the images; print which names and which images were removed, and print all errors.

    With ``force``, the error about a missing image is printed, but does not make the command fail. Any other error
    raises StatusError, after the command has tried to remove all images.
    """
    problems, fatal = [], not force
    for image in images:
        try:
            removed = app.engine.images.remove(path_segment(image), force=force)
        except EngineError as error:
            fatal = fatal or not isinstance(error, NotFound)
            problems.append(app.daemon_text(error))
        else:
            app.out_lines(f"{what}: {name}" for entry in removed for what, name in entry.items())
    if problems and fatal:
        raise StatusError("\n".join(problems))
    if problems:
        app.err("\n".join(problems) + "\n")
