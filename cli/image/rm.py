"""The ``hawse rmi`` and ``hawse image rm`` commands."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.pflag import at_least, command, flag
from engine.errors import EngineError, NotFound

ALIASES = "hawse image rm, hawse image remove, hawse rmi"


@command("rmi [OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", at_least(1), aliases=ALIASES)
@flag("--force", "-f", usage="Force removal of the image")
@flag("--no-prune", usage="Do not delete untagged parents", effect="ignored")
@click.argument("images", nargs=-1)
@click.pass_obj
def rmi(app: App, images: tuple[str, ...], force: bool, no_prune: bool) -> None:
    """Remove the images, which the user names by name or id; print which names and which images were removed.

    - By name: if the image has other names, only this name is removed, and the image stays.
    - By id: all names are removed. Without ``force``, it is an error if the image has several names.

    With ``force``, the error about a missing image is printed, but does not make the command fail. Any other error
    raises StatusError, after the command has tried to remove all images. ``no_prune`` has no effect.
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


rm = rmi.renamed("rm")
