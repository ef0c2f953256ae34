"""The ``hawse network verify`` command, which Docker does not have.

The command compares this host's tables for an overlay network (FDB and neighbour tables) with the data of the cluster.
"""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import command, exactly, flag


@command(
    "verify [OPTIONS] NETWORK",
    "Compare this host's tables for an overlay network with the cluster",
    exactly(1),
    hidden=True,
    own=True,
)
@flag("--fix", usage="Repair the differences")
@click.argument("network")
@click.pass_obj
def verify(app: App, network: str, fix: bool) -> None:
    """Print a line for each difference between this host's tables for an overlay network and the cluster's data.

    Without a difference, print "ok". With ``fix``, the differences are repaired. The exit code is 1 if there is any
    difference.
    """
    with app.waiting(f"{'Repairing' if fix else 'Comparing'} {network}"):
        lines = app.engine.swarm.verify(network, fix=fix)
    app.out_lines(lines or ["ok"])
    if lines:
        raise StatusError()
