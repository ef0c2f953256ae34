"""The ``hawse system uninstall`` command."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

import click

from cli.app import App, StatusError
from cli.pflag import STRING, command, exactly, flag
from cli.system import units
from engine.errors import EngineError, reason_of
from engine.paths import root_directory
from engine.store.codec import CodecError
from engine.store.sqlite import open_readonly
from engine.store.store_file import NAME

REMAIN = (
    "Networks or containers of hawse remain on this host. To remove them, before hawse itself: hawse rm -f $(hawse ps "
    "-aq), then hawse network prune -f\n"
)


@command("uninstall [OPTIONS]", "Remove the units that hawse system install wrote", exactly(0))
@flag("--root", kind=STRING, usage="Remove below this directory, for a system that is not running")
@click.pass_obj
def uninstall(app: App, root: str) -> None:
    """Stop the systemd units, remove their files and print the paths; idempotent.

    Running containers and commands continue. If networks or containers remain, a line on standard error names the
    commands that remove them. If ``root`` is not "", the files below this directory are removed. In this case, no unit
    is stopped, and the host is not searched for networks and containers.
    """
    there = [path for path in units.files(root) if path.exists()]
    if there:
        units.systemctl(root, "disable", "--now", *(path.name for path in there))
    try:
        for path in there:
            path.unlink(missing_ok=True)
            app.out(f"{path}\n")
        for path in units.files(root):
            units.delete_unfinished(path)
    except OSError as error:
        raise StatusError(f"cannot remove {error.filename}: {reason_of(error)}") from error
    units.systemctl(root, "daemon-reload")
    if not root and _anything_remains():
        app.err(REMAIN)


def _anything_remains() -> bool:
    """Return whether this host has containers or networks that a user made; False if the store cannot be read."""
    with suppress(EngineError, CodecError, sqlite3.Error), open_readonly(root_directory() / NAME) as reader:
        return reader is not None and bool(
            reader.containers() or any(not network.predefined for network in reader.networks())
        )
    return False
