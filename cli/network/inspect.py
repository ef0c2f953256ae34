"""The ``hawse network inspect`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.output.documents import INSPECT_FORMAT, Json, inspect_all
from cli.pflag import STRING, at_least, command, flag


@command("inspect [OPTIONS] NETWORK [NETWORK...]", "Display detailed information on one or more networks", at_least(1))
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@flag("--verbose", "-v", usage="Verbose output for diagnostics")
@click.argument("networks", nargs=-1)
@click.pass_obj
def inspect(app: App, networks: tuple[str, ...], format: str, verbose: bool) -> None:
    """Print the inspect documents of the networks.

    With ``verbose``, the documents also have the numbers of used and available addresses.
    """

    def fetch(reference: str) -> tuple[str, Json]:
        if not reference:
            raise StatusError("Error: No such network: ")
        return "network", app.engine.networks.inspect(path_segment(reference), verbose=verbose)

    inspect_all(app, networks, format, ["network"], fetch)
