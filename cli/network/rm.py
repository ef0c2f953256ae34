"""The ``hawse network rm`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.pflag import at_least, command, flag
from cli.prompt import confirmed
from engine.errors import EngineError, NotFound

INGRESS_WARNING = (
    "WARNING! Before removing the routing-mesh network, make sure all the nodes in your swarm run the same docker "
    "engine version. Otherwise, removal may not be effective and functionality of newly create ingress networks will "
    "be impaired.\nAre you sure you want to continue?"
)


@command(
    "rm NETWORK [NETWORK...]", "Remove one or more networks", at_least(1),
    aliases="hawse network rm, hawse network remove",
)  # fmt: skip
@flag("--force", "-f", usage="Do not error if the network does not exist")
@click.argument("networks", nargs=-1)
@click.pass_obj
def rm(app: App, networks: tuple[str, ...], force: bool) -> None:
    """Remove the networks one after the other; an error does not prevent the removal of the other networks."""
    failed = False
    for name in networks:
        try:
            if is_ingress(app, name) and not confirmed(app, INGRESS_WARNING):
                continue
            app.engine.networks.remove(path_segment(name))
        except EngineError as error:
            if not (force and isinstance(error, NotFound)):
                failed = True
                app.err(app.daemon_text(error) + "\n")
        else:
            app.out_lines([name])
    if failed:
        raise StatusError()


def is_ingress(app: App, name: str) -> bool:
    """Return whether this network is the swarm's ingress network; return False if the network cannot be inspected."""
    try:
        return bool(name and app.engine.networks.inspect(name)["Ingress"])
    except EngineError:
        return False
