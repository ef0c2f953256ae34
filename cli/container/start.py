"""The ``hawse start`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.container.each import print_name
from cli.container.session import attached, exit_code, proxied, streams
from cli.options.image_reference import container_path_segment, path_segment
from cli.pflag import STRING, at_least, command, flag
from engine.errors import EngineError


@command(
    "start [OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers", at_least(1),
    aliases="hawse container start, hawse start",
)  # fmt: skip
@flag("--attach", "-a", usage="Attach STDOUT/STDERR and forward signals")
@flag("--detach-keys", kind=STRING, usage="Override the key sequence for detaching a container", effect="ignored")
@flag("--interactive", "-i", usage="Attach container's STDIN")
@click.argument("containers", nargs=-1)
@click.pass_obj
def start(app: App, containers: tuple[str, ...], attach: bool, detach_keys: str, interactive: bool) -> int:
    """Start the containers; with ``--attach`` or ``--interactive``, start one container and return its exit code.

    Without these flags, return 0. Raises StatusError if a container cannot be started. Also raises it if the user gives
    one of these flags and several containers. ``detach_keys`` has no effect.
    """
    if attach or interactive:
        if len(containers) > 1:
            raise StatusError("you cannot start and attach multiple containers at once")
        return start_attached(app, containers[0], interactive=interactive)
    failed, problems = [], []
    for container in containers:
        try:
            app.engine.containers.start(path_segment(container))
        except EngineError as error:
            app.error(app.daemon_text(error) + "\n")
            failed.append(container)
        else:
            problems += print_name(app, container)
    if failed:
        problems.append(f"Error: failed to start containers: {app.line(', '.join(failed), app.stderr)}")
    if problems:
        raise StatusError("\n".join(problems))
    return 0


def start_attached(app: App, container: str, *, interactive: bool) -> int:
    """Attach to one container and start it; return its exit code. With ``interactive``, attach its stdin too."""
    document = app.engine.containers.inspect(container_path_segment(container))
    container_id, config = document["Id"], document["Config"]
    if document["State"]["Restarting"]:
        raise StatusError("unable to upgrade to tcp, received 409")  # Docker's error text for a restarting container
    with streams() as stdio, proxied(app, container_id, enabled=not config["Tty"]) as proxy:
        attachment = attached(
            app, container_id, stdio, stdin=interactive and config["OpenStdin"], proxy=proxy,
            start=lambda: started(app, container_id),
        )  # fmt: skip
        return exit_code(app, container_id, attachment, removed=document["HostConfig"]["AutoRemove"])


def started(app: App, container_id: str) -> None:
    """Start the container; every failure raises StatusError with exit code 1, as in Docker's ``start``.

    The exit code is 1 even if the container's command cannot be executed. ``run`` exits with 126 or 127 in this case.
    """
    try:
        app.engine.containers.start(container_id)
    except EngineError as error:
        raise StatusError(app.daemon_text(error)) from error
