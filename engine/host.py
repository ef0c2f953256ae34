"""A host as the engine uses it: its directories for state, its configuration, store, runtime and drivers."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from drivers.api import Configurable, Driver, Missing, Settings
from drivers.registry import load
from engine.config import Config
from engine.errors import NotFound
from engine.paths import make_private_directory
from engine.runtime.api import Runtime
from engine.store.api import Store


@dataclass(frozen=True)
class Host:
    """The objects that all operations of the engine share.

    Files in the directory ``root`` survive a reboot; files in the directory ``run`` do not.
    """

    root: Path
    run: Path
    config: Config
    store: Store
    runtime: Runtime
    _drivers: dict[str, Driver] = field(default_factory=dict, repr=False)

    def driver(self, type_name: str) -> Driver:
        """Return the driver for networks of the type ``type_name``.

        Raises NotFound with Docker's error text ``plugin "x" not found`` if no such driver is installed.
        """
        if type_name not in self._drivers:
            try:
                driver = load(type_name)
            except Missing as error:
                raise NotFound(str(error)) from error
            configure(driver, self.config, self.run)
            self._drivers[type_name] = driver
        return self._drivers[type_name]

    def container_directory(self, container_id: str) -> Path:
        """Return the directory of a container's own files; a missing directory is created (mode 0700)."""
        path = self.root / "containers" / container_id
        make_private_directory(path)
        return path

    def callback(self, *argv: str) -> tuple[list[str], dict[str, str]]:
        """Return the argument vector and environment for a new hawse process that uses this host's store and
        directories.
        """
        return callback(self.root, self.run, *argv)


def callback(root: Path, run: Path, *argv: str) -> tuple[list[str], dict[str, str]]:
    """Return the argument vector and environment for a new hawse process that uses these directories."""
    checkout = str(Path(__file__).resolve().parent.parent)
    environment = {"HAWSE_ROOT": str(root), "HAWSE_RUN": str(run), "PATH": os.environ.get("PATH", os.defpath)}
    if "HAWSE_CONFIG" in os.environ:
        environment["HAWSE_CONFIG"] = os.environ["HAWSE_CONFIG"]
    # Let the new process use a warm server (a resident hawse process) if a warm server is running, but never start a
    # warm server.
    environment["HAWSE_WARM"] = "off" if os.environ.get("HAWSE_WARM") == "off" else "use"
    boot = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cli.launcher.launch import main; main()"
    return [sys.executable, "-IS", "-X", "utf8", "-c", boot, checkout, *argv], environment


def configure(driver: Driver, config: Config, run: Path) -> None:
    """Pass the run directory and the driver settings of the host to a driver, if the driver is `Configurable`."""
    if isinstance(driver, Configurable):
        driver.configure(Settings(run, config.allow_direct_routing, config.bridge_accept_fwmark, config.ip_forward))
