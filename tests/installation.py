"""hawse laid out as an installation does it, on this interpreter and its libraries, with packages of one's choice."""

from __future__ import annotations

import atexit
import os
import shutil
import site
import sys
import tempfile
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def install(prefix: Path, packages: Path = CHECKOUT, launcher: str = "launch.pl") -> Path:
    """Lay hawse out below a directory; the script that is the command. Without launch.pl it begins with launch.py."""
    interpreter = Path(sys.executable).resolve()
    libraries = prefix / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for directory in (prefix / "bin", prefix / "share/hawse", libraries):
        directory.mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")
    (prefix / "bin/python3").symlink_to(interpreter)
    (libraries / "hawse.pth").write_text("\n".join(map(str, (packages, *site.getsitepackages()))))
    if launcher == "launch.pl":
        shutil.copy(packages / "cli/launch.pl", prefix / "share/hawse")
    return Path(shutil.copy(packages / "cli/launcher/hawse", prefix / "bin"))


@cache
def script(launcher: str = "launch.pl") -> Path:
    """The command of an installation of this checkout, which lasts as long as this process."""
    prefix, owner = Path(tempfile.mkdtemp(prefix="hawse-installed-")), os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(prefix))
    return install(prefix, launcher=launcher)
