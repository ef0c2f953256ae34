"""The ``hawse system install`` command, which writes unit files for systemd."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cli.app import App, StatusError
from cli.pflag import STRING, command, exactly, flag
from cli.system import units
from engine.errors import reason_of


@command("install [OPTIONS]", "Install units with which systemd starts the resident processes of hawse", exactly(0))
@flag("--root", kind=STRING, usage="Write below this directory, for a system that is not running")
@click.pass_obj
def install(app: App, root: str) -> None:
    """Write the systemd unit files, replacing existing files, and print their paths.

    The files are written below the directory ``root``; "" stands for ``/``. The command enables no unit, because the
    user decides which units to enable. Raises StatusError if a path is a symbolic link. Because a masked unit is a link
    to /dev/null, the command would otherwise change the mode of /dev/null.
    """
    for path in units.files(root):
        if path.is_symlink():
            text = f"{path} is a symbolic link, perhaps because the unit is masked"
            raise StatusError(f"{text} (to install it: systemctl unmask {path.name}, or remove the link)")
    for path in units.files(root):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, units.text(path.name))
            units.delete_unfinished(path)
        except OSError as error:
            raise StatusError(f"cannot write {path}: {reason_of(error)}") from error
        app.out(f"{path}\n")
    units.systemctl(root, "daemon-reload")
    app.err(f"To start them now and at every boot: systemctl enable --now {' '.join(units.STARTED)}\n")
    app.err(f"To serve Docker's API too (docs/docker-api.md): systemctl enable --now {units.API}\n")


def _write(path: Path, text: str) -> None:
    """Write a unit file; a killed or failed write leaves an existing file unchanged."""
    new = units.unfinished(path, str(os.getpid()))
    try:
        new.write_text(text)
        new.chmod(0o644)
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
