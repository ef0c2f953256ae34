"""The ``hawse events`` and ``hawse system events`` commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import click

from cli.app import App, StatusError
from cli.docker_types.system_types import MESSAGE
from cli.gotemplate import Template, TemplateError, TemplateExecError
from cli.gotemplate.decoding import typed
from cli.gotemplate.gotypes import Value, pointer_to
from cli.output.documents import FORMATTING
from cli.pflag import FILTER, STRING, command, flag
from engine.events.stream import SECOND, event_document
from engine.golang import time as go_time
from engine.model import Event, EventOptions

INVALID_FORMAT = 64  # the exit code for a --format that is no valid template


@command(
    "events [OPTIONS]", "Get real time events from the server",
    aliases="hawse system events, hawse events",
)  # fmt: skip
@flag("--filter", "-f", kind=FILTER, usage="Filter output based on conditions provided")
@flag("--format", kind=STRING, usage=f"Format output using a custom template:\n{FORMATTING}")
@flag("--since", kind=STRING, usage="Show all events created since timestamp")
@flag("--until", kind=STRING, usage="Stream events until this timestamp")
@click.pass_obj
def events(app: App, filter: Mapping[str, Sequence[str]], format: str, since: str, until: str) -> None:
    """Print the events since ``--since``, then each new event until ``--until``.

    Ends at once if the process that reads stdout ends, as in ``hawse events | head -1``.
    """
    write = writer(app, format)
    options = EventOptions(moment(since), moment(until), filter)
    with app.engine.system.events(options, output=app.stdout.fileno()) as stream:
        for event in stream:
            write(event)


def writer(app: App, format: str) -> Callable[[Event], None]:
    """Return a function that prints an event; raises StatusError if ``format`` is not a template for an event.

    ``format`` is the value of ``--format``: a template, "json", or "" for a line of plain text.
    """
    if not format:
        return lambda event: app.out_lines([text(event)])
    try:
        template = Template("{{json .}}" if format == "json" else format)
        template.execute(Value(pointer_to(MESSAGE), MESSAGE.zero()))
    except TemplateError as error:
        raise StatusError(f"Error parsing format: {error}", INVALID_FORMAT) from error

    def write(event: Event) -> None:
        value = Value(MESSAGE, typed(MESSAGE, app.protected(event_document(event))))
        try:
            app.out_rendered(template.execute(value) + "\n")
        except TemplateExecError as error:
            app.out_rendered(error.partial)
            raise StatusError(str(error)) from error

    return write


def text(event: Event) -> str:
    """Return the line for an event: local time, type, action, id of the object and the sorted attributes."""
    local = datetime.fromtimestamp(event.time // SECOND).astimezone()
    zone = local.strftime("%z")
    offset = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    head = f"{local:%Y-%m-%dT%H:%M:%S}.{event.time % SECOND:09}{offset} {event.type} {event.action} {event.actor}"
    pairs = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()))
    return f"{head} ({pairs})" if pairs else head


def moment(text: str) -> int | None:
    """Return the time in ``text`` as nanoseconds since 1970, or None if ``text`` is empty.

    ``text`` is a date, Unix seconds, or a duration before the present such as ``42m``. Raises StatusError with Docker's
    text if the text is none of these.
    """
    if not text:
        return None
    try:
        return go_time.nanoseconds(text, datetime.now().astimezone())
    except ValueError as error:
        raise StatusError(str(error)) from error
