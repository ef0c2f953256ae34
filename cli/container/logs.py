"""The ``hawse logs`` command."""

from __future__ import annotations

from datetime import datetime

import click

from cli.app import App, StatusError
from cli.options.image_reference import container_path_segment
from cli.pflag import STRING, command, exactly, flag
from engine.golang import time as go_time
from engine.golang.strconv import parse_int
from engine.model import LogOptions
from engine.runtime.api import LogLine

MOMENT = 'timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'


@command(
    "logs [OPTIONS] CONTAINER", "Fetch the logs of a container", exactly(1),
    aliases="hawse container logs, hawse logs",
)  # fmt: skip
@flag("--details", usage="Show extra details provided to logs")
@flag("--follow", "-f", usage="Follow log output")
@flag("--since", kind=STRING, usage=f"Show logs since {MOMENT}")
@flag("--tail", "-n", kind=STRING, usage="Number of lines to show from the end of the logs", default_value="all")
@flag("--timestamps", "-t", usage="Show timestamps")
@flag("--until", kind=STRING, usage=f"Show logs before a {MOMENT}")
@click.argument("container")
@click.pass_obj
def logs(
    app: App, container: str, details: bool, follow: bool, since: str, tail: str, timestamps: bool, until: str
) -> None:
    """Print a container's log; each entry goes to the stream (stdout or stderr) to which the container wrote the entry.

    If the container has a terminal, all entries go to stdout.
    """
    containers = app.engine.containers
    tty = containers.inspect(container_path_segment(container))["Config"]["Tty"]
    until = "" if until == "0" else until  # like Docker's client, treat --until 0 as no end time
    options = LogOptions(follow, lines(tail), moment("since", since), moment("until", until))
    for line in containers.logs(container_path_segment(container), options):
        stream = app.stderr if line.stream == "stderr" and not tty else app.stdout
        app.write(stream, prefix(line, timestamps=timestamps, details=details) + line.data)


def prefix(line: LogLine, *, timestamps: bool, details: bool) -> bytes:
    """Return the text that is printed before a log entry: the timestamp and the details, if requested.

    The details are always empty in hawse, but a space follows them as in Docker.
    """
    return ((f"{line.time} " if timestamps else "") + (" " if details else "")).encode()


def lines(tail: str) -> int:
    """Return the value of ``--tail`` as a number of entries.

    As in Docker, a negative number and any text that is not a number mean all entries (-1).
    """
    try:
        return max(parse_int(tail, base=10), -1)
    except ValueError:
        return -1


def moment(name: str, text: str) -> float | None:
    """Return the time in ``text`` as Unix seconds, or None if ``text`` is empty.

    ``text`` is a date, Unix seconds, or a duration. A duration such as ``42m`` is subtracted from the present time. Any
    other text raises StatusError. ``name`` is the name of the flag in the error text: "since" or "until".
    """
    if not text:
        return None
    try:
        return go_time.moment(text, datetime.now().astimezone())
    except ValueError as error:
        raise StatusError(f'invalid value for "{name}": {error}') from error
