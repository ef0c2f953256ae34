"""The ``prune`` commands: what they ask before anything is removed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import click

from cli.app import App
from cli.pflag import FILTER, command, flag
from cli.prompt import confirmed

Filters = Mapping[str, tuple[str, ...]]


def prune_command(short: str, removed: str) -> Callable[[Callable[[App, Filters], None]], click.Command]:
    """Make the command of a function that prunes; ``removed`` says what, in the question."""

    def made(prune: Callable[[App, Filters], None]) -> click.Command:
        @command("prune [OPTIONS]", short)
        @flag("--filter", kind=FILTER, usage='Provide filter values (e.g. "until=<timestamp>")')
        @flag("--force", "-f", usage="Do not prompt for confirmation")
        @click.pass_obj
        @functools.wraps(prune)
        def run(app: App, filter: Filters, force: bool) -> None:
            question = f"WARNING! This will remove all {removed}.\nAre you sure you want to continue?"
            if force or confirmed(app, question):
                prune(app, filter)

        return run

    return made
