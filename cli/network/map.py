"""The ``hawse network map`` command, which Docker does not have."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.diagram import dot, mermaid, svg, tree
from cli.output.console import show
from cli.output.documents import as_json
from cli.pflag import STRING, at_least, command, flag

TEXTS = {"mermaid": mermaid.draw, "dot": dot.draw, "svg": svg.draw}


@command(
    "map [OPTIONS] [NETWORK...]",
    "Show networks with their containers, addresses, names and ports",
    at_least(0),
    hidden=True,
    beyond_docker=True,
)
@flag("--format", kind=STRING, usage='"tree" (default), "mermaid", "dot", "svg" or "json"')
@click.argument("networks", nargs=-1)
@click.pass_obj
def map_(app: App, format: str, networks: tuple[str, ...]) -> None:
    """Print a map of the given networks.

    ``networks`` has names or ids. If it is empty, the map has all networks that are in use or that a user created.
    ``format`` is "mermaid", "dot", "svg", "json" or "tree"; "" means "tree". Any other format raises StatusError.
    """
    if format not in ("", "tree", "json", *TEXTS):
        raise StatusError(f"unknown format {format}: use tree, mermaid, dot, svg or json")
    document = app.engine.diagnostics.map(networks)
    if format in TEXTS:
        app.out(TEXTS[format](document))
    elif format == "json":
        app.out(as_json(document, indent=4) + "\n")
    else:
        show(app, tree.draw(document))
