"""The unit files for systemd: their names, their directory, and the values for the placeholders in the templates."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cli.app import StatusError
from cli.launcher.launch import PACKAGES
from engine.config import config_path
from engine.paths import root_directory, run_directory

TEMPLATES = Path(__file__).parent / "units"
STARTED = ("hawse-warm.socket", "hawse-agent.service", "hawse-boot.service")
"""The units that most users enable.

The unit ``hawse-warm.service`` is not enabled, because systemd starts this unit when a command connects to the socket
of ``hawse-warm.socket``.
"""

API = "hawse-api.socket"
"""The unit that serves Docker's API.

It is not in `STARTED`, because everybody who may use its socket has the rights of root on the host.
"""

UNITS = (*STARTED, "hawse-warm.service", API, "hawse-api.service")
DIRECTORY = Path("etc/systemd/system")
BOOTED = Path("/run/systemd/system")


def files(root: str) -> list[Path]:
    """Return the paths of hawse's unit files below the directory ``root``; "" stands for ``/``."""
    return [Path(root or "/") / DIRECTORY / name for name in UNITS]


def unfinished(path: Path, pid: str) -> Path:
    """Return the path at which the process ``pid`` writes a unit file, before the file moves to ``path``.

    systemd does not read the path, because of its suffix.
    """
    return path.with_name(f"{path.name}.{pid}.new")


def delete_unfinished(path: Path) -> None:
    """Delete the unfinished copies of a unit file whose processes have ended; idempotent.

    The copies are at the paths that `unfinished` returns.
    """
    for left in path.parent.glob(unfinished(path, "[0-9]*").name):
        if not Path("/proc", left.name.split(".")[-2]).exists():
            left.unlink(missing_ok=True)


def text(name: str) -> str:
    """Return the text of the unit file ``name``; raises StatusError if a path cannot be written in a unit file.

    The text contains the paths of this interpreter, of hawse's packages and of this host's directories.
    """
    values = {
        "@PYTHON@": sys.executable,
        "@PACKAGES@": PACKAGES,
        "@ROOT@": str(root_directory()),
        "@RUN@": str(run_directory()),
        "@CONFIG@": os.path.abspath(config_path()),
    }
    unit = (TEMPLATES / name).read_text()
    for mark, value in values.items():
        if any(character in value for character in ' "\\\n'):
            raise StatusError(f"a unit file cannot name this path: {value}")
        unit = unit.replace(mark, value.replace("%", "%%").replace("$", "$$"))
    return unit


def systemctl(root: str, *arguments: str) -> None:
    """Run systemctl with these arguments if systemd runs on this host; an error of systemctl is ignored.

    If ``root`` is not "", systemctl is not run, because the running systemd does not use unit files below ``root``.
    """
    if not root and BOOTED.is_dir():
        subprocess.run(["systemctl", "--quiet", *arguments], check=False, stdin=subprocess.DEVNULL)
