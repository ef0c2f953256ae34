"""The ``hawse exec`` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.app import App, StatusError
from cli.container.flag_types import ENV
from cli.container.session import ESCAPED, check_terminal
from cli.options.environment import env_value, latest, with_files
from cli.options.image_reference import container_path_segment
from cli.pflag import LIST, STRING, at_least, command, flag
from engine.errors import StartFailure
from engine.model import ExecCreate
from engine.runtime.api import LEFT, Stdio

NOT_EXECUTED = 126


@command(
    "exec [OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container", at_least(2),
    aliases="hawse container exec, hawse exec", interspersed=False,
)  # fmt: skip
@flag("--detach", "-d", usage="Detached mode: run command in the background")
@flag("--detach-keys", kind=STRING, usage="Override the key sequence for detaching a container", effect="ignored")
@flag("--env", "-e", kind=ENV, usage="Set environment variables")
@flag("--env-file", kind=LIST, usage="Read in a file of environment variables")
@flag("--interactive", "-i", usage="Keep STDIN open even if not attached")
@flag("--privileged", usage="Give extended privileges to the command")
@flag("--tty", "-t", usage="Allocate a pseudo-TTY")
@flag("--user", "-u", kind=STRING, usage='Username or UID (format: "<name|uid>[:<group|gid>]")')
@flag("--workdir", "-w", kind=STRING, usage="Working directory inside the container")
@click.argument("container")
@click.argument("command", nargs=-1)
@click.pass_obj
def exec_(app: App, /, container: str, command: tuple[str, ...], **flags: Any) -> int:
    """Run a command in a running container; return the command's exit code.

    Raises StatusError if the user detaches from the command.
    """
    request = exec_request(app, command, flags)
    app.engine.containers.inspect(container_path_segment(container))
    if not request.detach:
        check_terminal(app, stdin=request.attach_stdin, tty=request.tty)
    try:
        code = app.engine.containers.exec(container_path_segment(container), request, Stdio())
    except StartFailure as error:
        if request.detach:
            raise StatusError(app.daemon_text(error)) from error
        # As Docker does, print the error text to stdout, where the output of the container's command would appear.
        app.out_rendered(app.line(str(error), app.stdout) + "\r\n")
        return NOT_EXECUTED
    if code == LEFT:
        raise StatusError(ESCAPED)
    return code


def exec_request(app: App, command: Sequence[str], flags: dict[str, Any]) -> ExecCreate:
    """Build the engine's request for ``exec`` from the command to run and the flags.

    Raises StatusError if an environment variable is invalid, or an environment file cannot be read or parsed.
    """
    try:
        variables = latest(env_value(text, app.environ) for text in flags["env"])
        env = with_files(flags["env_file"], variables, app.environ)
    except ValueError as error:
        raise StatusError(str(error)) from error
    return ExecCreate(
        cmd=command,
        env=env,
        user=flags["user"],
        working_dir=flags["workdir"],
        tty=flags["tty"],
        detach=flags["detach"],
        attach_stdin=flags["interactive"] and not flags["detach"],
        privileged=flags["privileged"],
    )
