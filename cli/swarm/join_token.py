"""The ``hawse swarm join-token`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import command, exactly, flag

ROLES = ("worker", "manager")


@command("join-token [OPTIONS] (worker|manager)", "Manage join tokens", exactly(1))
@flag("--quiet", "-q", usage="Only display token")
@flag("--rotate", usage="Rotate join token")
@click.argument("role")
@click.pass_obj
def join_token(app: App, /, role: str, quiet: bool, rotate: bool) -> None:
    """Print the command with which a new node joins the cluster in this role; with ``quiet``, only the join token.

    ``role`` is "worker" or "manager". With ``rotate``, create a new token first.
    """
    if role not in ROLES:
        raise StatusError(f"unknown role {role}")
    token, address = app.engine.swarm.join_token(role, rotate=rotate)
    if quiet:
        app.out(token + "\n")
        return
    if rotate:
        app.out(f"Successfully rotated {role} join token.\n\n")
    app.out(f"To add a {role} to this swarm, run the following command:\n\n")
    app.out(f"    hawse swarm join --token {token} {address}\n\n")
