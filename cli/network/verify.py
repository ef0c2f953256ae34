"""The ``hawse network verify`` command, which Docker does not have.

The command compares the kernel objects of one network and of its containers with the records. For an overlay network,
it also compares this host's tables (FDB and neighbour tables) with the data of the cluster.
"""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import command, exactly, flag


@command(
    "verify [OPTIONS] NETWORK",
    "Compare this host with the records of a network",
    exactly(1),
    hidden=True,
    beyond_docker=True,
)
@flag("--fix", usage="Repair the differences")
@click.argument("network")
@click.pass_obj
def verify(app: App, network: str, fix: bool) -> None:
    """Print a line for each difference between a network's kernel objects on this host and hawse's records.

    If there is no difference, print "ok". With ``fix``, repair the differences and compare again. A difference that has
    disappeared is printed as repaired. The exit code is 1 if a difference is left.
    """
    with app.waiting(f"{'Repairing' if fix else 'Comparing'} {network}"):
        differences = app.engine.diagnostics.verify(network, fix=fix)
        left = app.engine.diagnostics.verify(network) if fix and differences else differences
    app.out_lines([f"repaired: {line}" for line in differences if line not in left])
    app.out_lines(left)
    if left:
        raise StatusError()
    if not differences:
        app.out_lines(["ok"])
