"""Code that ``run`` and ``create`` share.

The module builds the request, writes the file of ``--cidfile``, prints warnings and formats error texts as Docker does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from msgspec.structs import replace

from cli.app import FLAG_ERROR, App, StatusError
from cli.container import checks, unsupported
from cli.container.checks import FlagValues
from cli.container.request import container_create
from cli.container.session import console_size
from cli.image.pull import pull_image
from cli.options.image_reference import check_reference, is_identifier
from cli.pflag import changed
from engine.errors import InvalidArgument, NotFound, reason_of
from engine.images.platform import parse_platform
from engine.model import ContainerCreate
from engine.validate.image_reference import parse_reference

_LOOPBACK = re.compile(r"127\.([0-9]{1,3}\.){2}[0-9]{1,3}|::1$")
HOSTFS = "hostfs"
SKOPEO_HINT = """
hawse pulls images with skopeo (apt-get install skopeo)."""
IMAGE_HINT = """
What hawse can run without a registry:
  hawse run hostfs COMMAND     a command of this host, on this host's files
  hawse run /some/dir COMMAND  a directory that holds a root file system
Or read the image from an archive first, with one of:
  skopeo copy docker://{name} docker-archive:image.tar:{name} && hawse import image.tar
  docker save {name} | hawse import -"""

COMMAND_HINT = """
{image} has no command of its own. For a shell: hawse run -it {image} sh"""


def report(verb: str, text: str, exit_code: int = FLAG_ERROR, *, advice: bool = True) -> StatusError:
    """Return a StatusError with this error text, in the form that Docker's ``run`` and ``create`` use.

    ``verb`` is the command, such as "run". The text gets the prefix "hawse: " and a full stop. With ``advice``, a
    second line refers the user to ``--help``.
    """
    text = f"hawse: {text.removesuffix('.')}."
    return StatusError(f"{text}\nSee 'hawse {verb} --help'." if advice else text, exit_code)


def make_request(
    ctx: click.Context, verb: str, image: str, command: Sequence[str], flags: FlagValues
) -> ContainerCreate:
    """Build the request for a new container from the command line; print one warning with all flags that hawse ignores.

    ``verb`` is "run" or "create". Raises StatusError if Docker's client refuses a flag. If dockerd refuses a flag,
    raises StatusError for "run" and InvalidArgument for "create".
    """
    app: App = ctx.obj
    changed_flags = {name for name in flags if changed(ctx, name)}
    try:
        checks.pull(flags)
        request = container_create(image, command, flags, changed_flags, app.environ)
    except ValueError as error:
        raise report(verb, str(error)) from error
    except InvalidArgument as error:
        if verb == "create":
            raise
        raise report(verb, app.daemon_text(error)) from error
    if names := unsupported.ignored(flags, changed_flags):
        app.err(f"WARNING: hawse ignores {', '.join(names)}\n")
    return request


_IMAGE_MISSING = re.compile(r"^No such image|^image with reference .* does not match the specified platform")


def create_container(app: App, request: ContainerCreate, *, pull: str, quiet: bool) -> str:
    """Create the container, write its id to the file of ``--cidfile`` and return the id.

    ``pull`` is the value of ``--pull``. ``quiet`` hides the progress of a download. A dry run neither writes the file
    nor pulls an image. Raises EngineError and StatusError.
    """
    warn(app, request)
    with id_file("" if app.is_dry_run else request.host.container_id_file) as keep:
        check_platform(request.platform)
        name = reference(request.config.image)
        request = replace(request, host=replace(request.host, console_size=console_size(app)))
        if name and pull == "always" and not app.is_dry_run:
            pull_for(app, name, quiet=quiet, platform=request.platform)
        try:
            created = app.engine.containers.create(request)
        except NotFound as error:
            if not (name and _IMAGE_MISSING.search(str(error))):
                raise
            app.hint = IMAGE_HINT.format(name=request.config.image)
            if pull != "missing" or app.is_dry_run:
                raise
            if not quiet:
                app.err_lines([f"Unable to find image '{name}' locally"])
            if not app.engine.images.can_pull():
                app.hint = SKOPEO_HINT + app.hint
                raise
            pull_for(app, name, quiet=quiet, platform=request.platform)
            created = app.engine.containers.create(request)
        except InvalidArgument as error:
            if str(error) == "no command specified":
                app.hint = COMMAND_HINT.format(image=request.config.image)
            raise
        for warning in created.warnings:
            app.err_lines([f"WARNING: {warning}"])
        keep(created.id)
    return created.id


def check_platform(platform: str) -> None:
    """Check the value of ``--platform``; raises StatusError with the error of Docker's client."""
    if not platform:
        return
    try:
        parse_platform(platform)
    except InvalidArgument as error:
        raise StatusError(f"error parsing specified platform: {error}") from error


def pull_for(app: App, name: str, *, quiet: bool, platform: str) -> None:
    """Pull the image ``name`` for a container, and show the progress on stderr unless ``quiet``; raises EngineError."""
    pull_image(app, parse_reference(name), platform, None if quiet else app.stderr)
    app.hint = ""


def warn(app: App, request: ContainerCreate) -> None:
    """Print the warning of Docker's client if ``--dns`` has a loopback address, which a container cannot reach."""
    for server in request.host.dns:
        if _LOOPBACK.search(server):
            app.err(f"WARNING: Localhost DNS setting (--dns={server}) may fail in containers.\n")
            return


def reference(image: str) -> str:
    """Return an image's name with its tag (``app:latest`` for ``app``), or "" if the image cannot be pulled.

    A directory, an image id and ``hostfs`` (the host's own files) cannot be pulled. Raises StatusError for an invalid
    name.
    """
    if image in (HOSTFS, f"{HOSTFS}:latest") or image.startswith("/") or is_identifier(image):
        return ""
    try:
        return check_reference(image)
    except ValueError as error:
        raise StatusError(str(error)) from error


@contextmanager
def id_file(path: str) -> Iterator[Callable[[str], object]]:
    """Create the file of ``--cidfile`` and yield a function that writes the container's id to the file.

    If ``path`` is empty, no file is created, and the function does nothing. If the ``with`` block raises an exception,
    the file is deleted. Raises StatusError if the file cannot be created, or if ``path`` exists already. A symbolic
    link counts as existing, even if its target is missing.
    """
    if not path:
        yield lambda _: None
        return
    try:
        # If ``path`` is a directory and ends with a slash, os.open() raises IsADirectoryError, not FileExistsError.
        if os.path.exists(path):
            raise FileExistsError
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError as error:
        raise StatusError(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from error
    except OSError as error:
        problem = f"open {path}: {reason_of(error)}"
        raise StatusError(f"failed to create the container ID file: {problem}") from error
    try:
        with open(descriptor, "w") as file:
            # Write to the open file. Do not open ``path`` again: another program may have put its own file there.
            yield file.write
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
