"""The ``hawse system uninstall`` command."""

from __future__ import annotations

import click

from cli.app import App, StatusError
from cli.pflag import STRING, command, exactly, flag
from cli.system import units


@command("uninstall [OPTIONS]", "Remove the units that hawse system install wrote", exactly(0))
@flag("--root", kind=STRING, usage="Remove below this directory, for a system that is not running")
@click.pass_obj
def uninstall(app: App, root: str) -> None:
    """Stop the systemd units, remove their files and print the paths; idempotent.

    Running containers and commands continue.
    """
    there = [path for path in units.files(root) if path.exists()]
    if there:
        units.systemctl(root, "disable", "--now", *(path.name for path in there))
    try:
        for path in there:
            path.unlink()
            app.out(f"{path}\n")
    except OSError as error:
        raise StatusError(f"cannot remove {error.filename}: {(error.strerror or '').lower()}") from error
    units.systemctl(root, "daemon-reload")
