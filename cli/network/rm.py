"""The ``hawse network rm`` command."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.app import App, StatusError
from cli.options.image_reference import path_segment
from cli.pflag import at_least, command, flag
from cli.prompt import confirmed
from engine.errors import EngineError, Forbidden, NotFound

INGRESS_WARNING = (
    "WARNING! Before removing the routing-mesh network, make sure all the nodes in your swarm run the same docker "
    "engine version. Otherwise, removal may not be effective and functionality of newly create ingress networks will "
    "be impaired.\nAre you sure you want to continue?"
)

ACTIVE = "has active endpoints"
MEMBERS_HINT = """
Containers are on it. Which: hawse network inspect -f '{{{{range .Containers}}}}{{{{.Name}}}} {{{{end}}}}' {name}
Take each off: hawse network disconnect {name} CONTAINER"""


@command(
    "rm NETWORK [NETWORK...]", "Remove one or more networks", at_least(1),
    aliases="hawse network rm, hawse network remove",
)  # fmt: skip
@flag("--force", "-f", usage="Do not error if the network does not exist")
@click.argument("networks", nargs=-1)
@click.pass_obj
def rm(app: App, networks: tuple[str, ...], force: bool) -> None:
    """Remove the networks in order; an error does not prevent the removal of the other networks.

    Before the swarm's ingress network is removed, the user is asked. With ``force``, a missing network is no error. Any
    other error raises StatusError at the end.
    """
    failed, chosen = False, list[str]()
    for name in networks:
        if is_ingress(app, name):
            failed |= remove(app, chosen, force=force)
            chosen = []
            if not confirmed(app, INGRESS_WARNING):
                continue
        chosen.append(name)
    with app.removing(len(chosen), "networks"):
        failed |= remove(app, chosen, force=force)
    if failed:
        raise StatusError()


def remove(app: App, networks: Sequence[str], *, force: bool) -> bool:
    """Remove the networks; print each removed network's name and each error; return True if there was an error.

    With ``force``, a missing network is no error and gives no output.
    """
    references = [reference_of(name) for name in networks]
    named = [reference for reference in references if isinstance(reference, str)]
    outcomes = app.engine.networks.remove_each(named) if named else iter(())
    failed = False
    for name, reference in zip(networks, references, strict=True):
        error = next(outcomes) if isinstance(reference, str) else reference
        if error is None:
            app.out_lines([name])
        elif not (force and isinstance(error, NotFound)):
            failed = True
            app.error(app.daemon_text(error) + "\n")
            if isinstance(error, Forbidden) and ACTIVE in str(error):
                app.hint = MEMBERS_HINT.format(name=app.line(name, app.stderr))
    return failed


def reference_of(name: str) -> str | EngineError:
    """Return a network's name without leading slashes; for an invalid name, return Docker's error as a value.

    An invalid name is empty, or cannot be part of the URL of a request, such as ``../web``.
    """
    try:
        return path_segment(name)
    except EngineError as error:
        return error


def is_ingress(app: App, name: str) -> bool:
    """Return whether this network is the swarm's ingress network; return False if the network cannot be inspected."""
    try:
        return bool(name and app.engine.networks.inspect(name)["Ingress"])
    except EngineError:
        return False
