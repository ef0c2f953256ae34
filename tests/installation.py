"""An installation of hawse with the file layout of its wheel, for the Python interpreter that runs the tests."""

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
PACKAGES = ("api", "cli", "engine", "drivers")


def install(prefix: Path) -> Path:
    """Install hawse in the directory ``prefix``, and return the path of the script ``hawse``."""
    interpreter = Path(sys.executable).resolve()
    libraries = packages(prefix)
    for directory in (prefix / "bin", prefix / "share/hawse", libraries / "hawse"):
        directory.mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(interpreter)
    for name in PACKAGES:
        shutil.copytree(CHECKOUT / name, libraries / name)
    (libraries / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    launcher = CHECKOUT / "cli/launcher"
    shutil.copy(launcher / "module.py", libraries / "hawse/__main__.py")
    shutil.copy(launcher / "boot.py", prefix / "share/hawse")
    return Path(shutil.copy(launcher / "hawse", prefix / "bin"))


def packages(prefix: Path) -> Path:
    """Return the site-packages directory of the installation in the directory ``prefix``."""
    return prefix / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


@cache
def script() -> Path:
    """Install this checkout in a temporary directory, and return the path of the script ``hawse``.

    The directory is removed when the test process exits.
    """
    prefix, owner = Path(tempfile.mkdtemp(prefix="hawse-installed-")), os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(prefix))
    return install(prefix)
