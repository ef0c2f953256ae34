"""The ``hawse attach`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.container.session import ESCAPED, attached, check_terminal, exit_code, proxied, streams
from cli.options.image_reference import container_path_segment
from cli.pflag import STRING, command, exactly, flag

ATTACH = "Attach local standard input, output, and error streams to a running container"


@command("attach [OPTIONS] CONTAINER", ATTACH, exactly(1), aliases="hawse container attach, hawse attach")
@flag("--detach-keys", kind=STRING, usage="Override the key sequence for detaching a container", effect="ignored")
@flag("--no-stdin", usage="Do not attach STDIN")
@flag("--sig-proxy", usage="Proxy all received signals to the process", default_value=True)
@click.argument("container")
@click.pass_obj
def attach(app: App, container: str, detach_keys: str, no_stdin: bool, sig_proxy: bool) -> int:
    """Attach to a running container until the container ends; return the container's exit code.

    Raises StatusError if the container is stopped or restarting when the command begins. Also raises it if the user
    detaches later. With ``no_stdin``, the container's stdin is not attached. ``detach_keys`` has no effect.
    """
    document = app.engine.containers.inspect(container_path_segment(container))
    state, config = document["State"], document["Config"]
    if not state["Running"]:
        raise StatusError("You cannot attach to a stopped container, start it first")
    if state["Restarting"]:
        raise StatusError("You cannot attach to a restarting container, wait until it is running")
    check_terminal(app, stdin=not no_stdin, tty=config["Tty"])
    container_id = document["Id"]
    stdin = not no_stdin and config["OpenStdin"]
    with streams() as stdio, proxied(app, container_id, enabled=sig_proxy and not config["Tty"]) as proxy:
        attachment = attached(app, container_id, stdio, stdin=stdin, proxy=proxy, start=lambda: None)
        if attachment.detached:
            raise StatusError(ESCAPED)
        return exit_code(app, container_id, attachment, removed=document["HostConfig"]["AutoRemove"])
