"""Which launchers hand over commands that are to run in this server: those of the same hawse on the same Python."""

from __future__ import annotations

import os
import sys

from cli.launcher.launch import PACKAGES, PROTOCOL, identity


def identities() -> frozenset[bytes]:
    """What they call themselves: cli/launcher/launch.py, and cli/launch.pl for the script of our installation."""
    return frozenset(filter(None, (identity(), _identity_of_script())))


def _identity_of_script() -> bytes:
    """Tell the script beside the interpreter by its file; empty where what it runs is not what we are."""
    try:
        if not os.path.samefile(_installed_packages(), PACKAGES):
            return b""
        script = os.stat(os.path.join(os.path.dirname(sys.executable), "hawse"))
    except OSError:
        return b""
    return b"%d %d %d" % (PROTOCOL, script.st_dev, script.st_ino)


def _installed_packages() -> str:
    """Where this interpreter finds hawse by itself, without the directory that we were told (the first)."""
    return next((path for path in sys.path[1:] if os.path.exists(os.path.join(path, "cli", "launch.py"))), "")
