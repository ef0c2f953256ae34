"""The ``hawse create`` command."""

from __future__ import annotations

from typing import Any

import click

from cli.container.creation import create_container, make_request
from cli.container.flags import container_flags
from cli.pflag import STRING, at_least, command, flag

PULL = 'Pull image before creating ("always", "|missing", "never")'


@command(
    "create [OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container", at_least(1),
    aliases="hawse container create, hawse create", interspersed=False,
)  # fmt: skip
@container_flags
@flag("--pull", kind=STRING, usage=PULL, default_value="missing")
@click.argument("image")
@click.argument("command", nargs=-1)
@click.pass_context
def create(ctx: click.Context, /, image: str, command: tuple[str, ...], **flags: Any) -> None:
    """Create a container and print its id."""
    request = make_request(ctx, "create", image, command, flags)
    container_id = create_container(ctx.obj, request, pull=flags["pull"], quiet=flags["quiet"])
    ctx.obj.out(f"{container_id}\n")
