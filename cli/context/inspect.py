"""The ``hawse context inspect`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.context.default import DEFAULT, check_name, document
from cli.output.documents import INSPECT_FORMAT, Json, inspect_all
from cli.pflag import STRING, at_least, command, flag


@command(
    "inspect [OPTIONS] [CONTEXT] [CONTEXT...]", "Display detailed information on one or more contexts", at_least(0)
)
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@click.argument("names", nargs=-1)
@click.pass_obj
def inspect(app: App, /, names: tuple[str, ...], format: str) -> None:
    """Print the inspect documents of the contexts; without a name, that of the current context."""

    def fetch(name: str) -> tuple[str, Json]:
        check_name(name)
        return "context", document(app)

    inspect_all(app, names or (DEFAULT,), format, ["context"], fetch)
