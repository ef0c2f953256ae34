"""The ``hawse swarm leave`` command."""

from __future__ import annotations

import click

from cli.app import App
from cli.pflag import command, flag


@command("leave [OPTIONS]", "Leave the swarm")
@flag("--force", "-f", usage="Force this node to leave the swarm, ignoring warnings")
@click.pass_obj
def leave(app: App, force: bool) -> None:
    """Remove this host from its cluster; on a terminal, name the running containers that then have no network.

    ``force`` is necessary for a manager. With ``force``, a container that cannot be disconnected is no error.
    """
    with app.waiting("Leaving the swarm"):
        app.engine.swarm.leave(force=force)
    app.out("Node left the swarm.\n")
    if app.stderr.isatty():
        app.err_lines(f"{name} has no network now: hawse network connect NETWORK {name}" for name in without(app))


def without(app: App) -> list[str]:
    """Return the names of the running containers that are on no network, although their network mode requires one.

    The network modes none, host and container require no network.
    """
    return [
        container["Names"][0].removeprefix("/")
        for container in app.engine.containers.list({})
        if not container["NetworkSettings"]["Networks"]
        and container["HostConfig"]["NetworkMode"].partition(":")[0] not in ("none", "host", "container")
    ]
