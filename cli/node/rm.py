"""The ``hawse node rm`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import at_least, command, flag
from engine.errors import EngineError


@command(
    "rm [OPTIONS] NODE [NODE...]", "Remove one or more nodes from the swarm", at_least(1),
    aliases="hawse node rm, hawse node remove",
)  # fmt: skip
@flag("--force", "-f", usage="Force remove a node from the swarm")
@click.argument("nodes", nargs=-1)
@click.pass_obj
def rm(app: App, nodes: tuple[str, ...], force: bool) -> None:
    """Remove the nodes one after the other; the errors are printed together at the end.

    Without ``force``, only a worker that is down can be removed. With ``force``, any worker and a manager that is down
    can be removed.
    """
    problems = []
    for reference in nodes:
        try:
            app.engine.swarm.remove_node(reference, force=force)
        except EngineError as error:
            problems.append(app.daemon_text(error))
        else:
            app.out_lines([reference])
    if problems:
        raise StatusError("\n".join(problems))
