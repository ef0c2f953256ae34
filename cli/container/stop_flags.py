"""The verbs that stop containers, ``stop`` and ``restart``: one command line."""

from __future__ import annotations

import functools
from collections.abc import Callable

import click

from cli.app import App
from cli.container.each import for_each
from cli.options.image_reference import path_segment
from cli.pflag import INT, STRING, at_least, changed, command, flag

Stop = Callable[[App, str, int | None, str], None]
"""Does it to one container: which, how many seconds to wait, by what signal."""


def stopping_command(verb: str, short: str) -> Callable[[Stop], click.Command]:
    """Make the command of a function that stops one container."""

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
            for_each(app, containers, lambda name: stop(app, path_segment(name), timeout, signal))

        return run

    return made
