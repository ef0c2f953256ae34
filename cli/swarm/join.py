"""The ``hawse swarm join`` command."""

from __future__ import annotations

from typing import Any

import click

from cli.app import App
from cli.pflag import STRING, command, exactly, flag
from engine.api import SwarmJoin


@command("join [OPTIONS] HOST:PORT", "Join a swarm as a node and/or manager", exactly(1))
@flag("--advertise-addr", kind=STRING, usage='Advertised address (format: "<ip|interface>[:port]")')
@flag(
    "--data-path-addr",
    kind=STRING,
    usage='Address or interface to use for data path traffic (format: "<ip|interface>")',
)
@flag("--manager", usage="Join as a manager; refuse a worker token")
@flag("--token", kind=STRING, usage="Token for entry into the swarm")
@click.argument("remote")
@click.pass_obj
def join(app: App, /, remote: str, **flags: Any) -> None:
    """Join a cluster and print this node's role, which the token decides.

    ``remote`` is the address of a manager of the cluster.
    """
    request = SwarmJoin(
        remote,
        flags["token"],
        advertise=flags["advertise_addr"],
        data_path=flags["data_path_addr"],
        role="manager" if flags["manager"] else "",
    )
    with app.waiting(f"Joining the swarm of {remote}"):
        role = app.engine.swarm.join(request)
    app.out(f"This node joined a swarm as a {role}.\n")
