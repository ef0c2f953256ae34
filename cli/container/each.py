"""Run a command such as ``stop`` on several containers; also define the command line that ``stop`` and ``restart``
share.

For each container on which the command succeeds, print the container's name as the user typed the name. Print all
errors together at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.pflag import INT, STRING, at_least, changed, command, flag
from engine.errors import EngineError

Outcome = EngineError | StatusError | None
"""The result of a command for one container: None, or the error."""


def for_each(app: App, containers: Iterable[str], act: Callable[[str], None]) -> None:
    """Call ``act`` for each container, and print the container's name unless ``act`` has raised an error.

    ``containers`` has the names as the user typed them. An error of ``act`` does not prevent the calls for the other
    containers. All errors are joined into one StatusError, which is raised at the end.
    """
    report(app, ((container, outcome_of(act, container)) for container in containers))


def outcome_of(act: Callable[[str], None], container: str) -> Outcome:
    """Call ``act`` with the container's name; return the error that it raised, or None."""
    try:
        act(container)
    except (EngineError, StatusError) as error:
        return error
    return None


def report(app: App, outcomes: Iterable[tuple[str, Outcome]], *, forgiven: tuple[type[EngineError], ...] = ()) -> None:
    """Print the name of each container for which the command succeeded, as soon as the container's outcome is known.

    ``outcomes`` has pairs of a container's name and the outcome: None, or the error. Errors of the ``forgiven`` types
    are printed to stderr but do not make the command fail. All other errors are joined into one StatusError, which is
    raised at the end. A broken pipe raises BrokenPipeError at the end, after the errors were printed to stderr.
    """
    problems: list[str] = []
    broken_pipe = None
    for container, outcome in outcomes:
        try:
            if outcome is None:
                problems += print_name(app, container)
            elif isinstance(outcome, StatusError):
                problems.append(outcome.text)
            elif isinstance(outcome, forgiven):
                app.error(app.daemon_text(outcome) + "\n")
            else:
                problems.append(app.daemon_text(outcome))
        except BrokenPipeError as error:
            broken_pipe = error
    if broken_pipe:
        if problems:
            app.error("\n".join(problems) + "\n")
        raise broken_pipe
    if problems:
        raise StatusError("\n".join(problems))


def print_name(app: App, container: str) -> list[str]:
    """Print a container's name; return [], or a list with the error text if stdout cannot be written.

    The error is not raised, so that the caller can continue with the other containers. `App.write` then discards all
    further output. A broken pipe raises BrokenPipeError.
    """
    try:
        app.out_lines([container])
    except StatusError as error:
        return [error.text]
    return []


Stop = Callable[[App, str, int | None, str], None]
"""Function that stops one container; its arguments are the app, the container, the timeout in seconds and the
signal.
"""


def stopping_command(verb: str, short: str) -> Callable[[Stop], click.Command]:
    """Return a decorator that makes the click command ``verb`` from a function that stops one container.

    ``short`` is the command's help text. The command calls the function for each container that the user names, with
    these arguments:

    - the app
    - the container's name
    - the value of ``--time``, or None without this flag
    - the value of ``--signal``, or "" without this flag
    """

    def made(stop: Stop) -> click.Command:
        @command(
            f"{verb} [OPTIONS] CONTAINER [CONTAINER...]", short, at_least(1),
            aliases=f"hawse container {verb}, hawse {verb}",
        )  # fmt: skip
        @flag("--signal", "-s", kind=STRING, usage="Signal to send to the container")
        @flag("--time", "-t", kind=INT, usage="Seconds to wait before killing the container")
        @click.argument("containers", nargs=-1)
        @click.pass_context
        @functools.wraps(stop)
        def run(ctx: click.Context, containers: tuple[str, ...], signal: str, time: int) -> None:
            app: App = ctx.obj
            timeout = time if changed(ctx, "time") else None

            def act(name: str) -> None:
                with app.waiting(f"Waiting for {name} to end"):
                    stop(app, path_segment(name), timeout, signal)

            for_each(app, containers, act)

        return run

    return made
