"""The ``hawse node inspect`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.node.pretty import text
from cli.output.documents import INSPECT_FORMAT, Json, inspect_all
from cli.pflag import STRING, at_least, command, flag
from engine.errors import EngineError


@command("inspect [OPTIONS] self|NODE [NODE...]", "Display detailed information on one or more nodes", at_least(1))
@flag("--format", "-f", kind=STRING, usage=INSPECT_FORMAT)
@flag("--pretty", usage="Print the information in a human friendly format")
@click.argument("nodes", nargs=-1)
@click.pass_obj
def inspect(app: App, nodes: tuple[str, ...], format: str, pretty: bool) -> None:
    """Print the inspect documents of the nodes; with ``pretty``, as readable text.

    ``format`` is a Go template; "" and "json" mean a JSON array. ``pretty`` with ``format`` raises StatusError.
    """
    if pretty:
        if format:
            raise StatusError("--format is incompatible with human friendly format")
        documents = map(app.engine.swarm.inspect_node, nodes)
        app.out_rendered("\n".join(text(document, app.protected) for document in documents))
        return

    def fetch(reference: str) -> tuple[str, Json]:
        try:
            return "node", app.engine.swarm.inspect_node(reference)
        except EngineError as error:
            raise StatusError(f"Status: {app.daemon_text(error)}, Code: 1") from error

    inspect_all(app, nodes, format, ["node"], fetch)
