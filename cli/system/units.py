"""The unit files for systemd: what they are called, where they go, and what is filled in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cli.app import StatusError
from cli.launcher.launch import PACKAGES
from engine.paths import root_directory, run_directory

TEMPLATES = Path(__file__).parent / "units"
STARTED = ("hawse-warm.socket", "hawse-agent.service")
"""What a user enables; it pulls in the rest."""

UNITS = (*STARTED, "hawse-warm.service")
DIRECTORY = Path("etc/systemd/system")
BOOTED = Path("/run/systemd/system")


def files(root: str) -> list[Path]:
    """Where the units go below ``root``."""
    return [Path(root or "/") / DIRECTORY / name for name in UNITS]


def text(name: str) -> str:
    """One unit, for this interpreter, these packages and this host's directories."""
    values = {
        "@PYTHON@": sys.executable,
        "@PACKAGES@": PACKAGES,
        "@ROOT@": str(root_directory()),
        "@RUN@": str(run_directory()),
    }
    found = (TEMPLATES / name).read_text()
    for mark, value in values.items():
        if any(character in value for character in ' "\\\n'):
            raise StatusError(f"a unit file cannot name this path: {value}")
        found = found.replace(mark, value.replace("%", "%%").replace("$", "$$"))
    return found


def systemctl(root: str, *arguments: str) -> None:
    """Tell systemd, where it is running and the files are its own."""
    if not root and BOOTED.is_dir():
        subprocess.run(["systemctl", "--quiet", *arguments], check=False, stdin=subprocess.DEVNULL)
