"""The ``hawse run`` command."""

from __future__ import annotations

from typing import Any

import click

from cli.app import FLAG_ERROR, App, StatusError
from cli.container.creation import create_container, make_request, report
from cli.container.flags import container_flags
from cli.container.request import detached
from cli.container.session import attached, check_terminal, exit_code, proxied, streams
from cli.pflag import STRING, at_least, command, flag
from engine.errors import EngineError, StartFailure
from engine.model import ContainerCreate

PULL = 'Pull image before running ("always", "missing", "never")'
NOT_FOUND = ("executable file not found", "no such file or directory", "system cannot find the file specified")
NOT_EXECUTABLE = ("permission denied", "is a directory")


@command(
    "run [OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image", at_least(1),
    aliases="hawse container run, hawse run", interspersed=False,
)  # fmt: skip
@container_flags
@flag("--detach", "-d", usage="Run container in background and print container ID")
@flag("--detach-keys", kind=STRING, usage="Override the key sequence for detaching a container")
@flag("--pull", kind=STRING, usage=PULL, default_value="missing")
@flag("--sig-proxy", usage="Proxy received signals to the process", default_value=True)
@click.argument("image")
@click.argument("command", nargs=-1)
@click.pass_context
def run(ctx: click.Context, /, image: str, command: tuple[str, ...], **flags: Any) -> int:
    """Create a container and start it; in the foreground, return the exit code of the container's command."""
    app: App = ctx.obj
    request = make_request(ctx, "run", image, command, flags)
    if flags["detach"]:
        if flags["attach"]:
            raise StatusError("Conflicting options: -a and -d")
        request = detached(request)
    else:
        check_terminal(app, stdin=request.config.attach_stdin, tty=request.config.tty)
    container_id = create_reported(app, request, pull=flags["pull"], quiet=flags["quiet"])
    in_background = flags["detach"] or app.is_dry_run
    try:
        if not (request.config.attach_stdout or request.config.attach_stderr):
            app.out(f"{container_id}\n")
    finally:  # as in Docker, a detached container starts even if its id cannot be printed
        if in_background:
            start_reported(app, container_id)
    return 0 if in_background else in_foreground(app, container_id, request, sig_proxy=flags["sig_proxy"])


def create_reported(app: App, request: ContainerCreate, *, pull: str, quiet: bool) -> str:
    """Create the container and return its id, see `create_container`; raises StatusError with Docker's text."""
    try:
        return create_container(app, request, pull=pull, quiet=quiet)
    except EngineError as error:
        raise report("run", app.daemon_text(error), failure_code(error)) from error
    except StatusError as error:
        raise report("run", error.text, text_code(error.text)) from error


def start_reported(app: App, container_id: str) -> None:
    """Start the container; an error becomes a StatusError with the text of Docker's ``run``.

    The error text does not refer to ``--help``, because the command line was correct: the container has been created.
    """
    try:
        app.engine.containers.start(container_id)
    except EngineError as error:
        raise report("run", app.daemon_text(error), failure_code(error), advice=False) from error


def failure_code(error: EngineError) -> int:
    """Return Docker's exit code for a failed start of a container, see `text_code`."""
    return error.exit_code if isinstance(error, StartFailure) else text_code(str(error))


def text_code(text: str) -> int:
    """Return the exit code that Docker derives from the text of an error about the start of a container.

    127: the container's command is missing. 126: the command cannot be executed. 125: any other failure.
    """
    if any(phrase in text for phrase in NOT_FOUND):
        return 127
    return 126 if any(phrase in text for phrase in NOT_EXECUTABLE) else FLAG_ERROR


def in_foreground(app: App, container_id: str, request: ContainerCreate, *, sig_proxy: bool) -> int:
    """Attach to the container, start it and wait until it ends; return the container's exit code.

    If neither stdout nor stderr is attached, return 0. With ``sig_proxy``, this process's signals are forwarded to the
    container.
    """
    config = request.config
    with (
        streams(stdout=config.attach_stdout, stderr=config.attach_stderr) as stdio,
        proxied(app, container_id, enabled=sig_proxy) as proxy,
    ):
        attachment = attached(
            app, container_id, stdio, stdin=config.attach_stdin, proxy=proxy,
            start=lambda: start_reported(app, container_id),
        )  # fmt: skip
        if not (config.attach_stdout or config.attach_stderr):
            return 0
        return exit_code(app, container_id, attachment, removed=request.host.auto_remove)
