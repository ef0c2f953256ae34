"""Build the documents of Docker's /version and /info, with the values of hawse and this host."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from drivers.api import DriverFacts
from drivers.linux.host import is_forwarding
from drivers.registry import available
from engine.agent import client
from engine.api import Json
from engine.cluster import membership
from engine.containers.lookup import with_actual_state
from engine.dispatch import network_spec
from engine.host import Host
from engine.networks import create
from engine.validate.logging import JSON_FILE, LOCAL, OTHER_DRIVERS, default_options
from engine.version import API_VERSION, DOCKER_VERSION, MIN_API_VERSION, OUTSIDE, architecture, version_text


class SystemVerbs:
    """Implements `engine.api.System`."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def version(self) -> Json:
        """Return Docker's /version document."""
        kernel = os.uname().release
        return {
            "Platform": {"Name": f"hawse (speaks as Docker {DOCKER_VERSION})"},
            "Components": [{"Name": "Engine", "Version": version_text(), "Details": {"KernelVersion": kernel}}],
            "Version": version_text(),
            "ApiVersion": API_VERSION,
            "MinAPIVersion": MIN_API_VERSION,
            "Os": "linux",
            "Arch": architecture(),
            "KernelVersion": kernel,
        }

    def info(self) -> Json:
        """Return Docker's /info document, reduced to the fields that apply to hawse."""
        with self.host.store.read() as reader:
            records = reader.containers()
            images = len(reader.images())
        config = self.host.config
        driver, options, limit = config.log_driver, config.log_opts, config.default_log_limit
        if driver in OTHER_DRIVERS:
            driver, options = JSON_FILE, {}
        states = [with_actual_state(self.host, r).status for r in records]
        return {
            "ID": "",
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "ContainersPaused": 0,
            "ContainersStopped": len(states) - states.count("running"),
            "Images": images,
            "Driver": "hostfs",
            "LoggingDriver": driver,
            "DefaultLogOpts": dict(default_options(driver, options, limit)),
            "Plugins": {
                "Volume": [],
                "Network": sorted(network_drivers()),
                "Authorization": None,
                "Log": [JSON_FILE, LOCAL],
            },
            "KernelVersion": os.uname().release,
            "OperatingSystem": _operating_system(),
            "OSType": "linux",
            "Architecture": os.uname().machine,
            "NCPU": os.cpu_count() or 0,
            "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "DockerRootDir": str(self.host.root),
            "Name": os.uname().nodename,
            "ServerVersion": version_text(),
            "Swarm": self._swarm(),
            "Warnings": self._warnings(),
        }

    def _warnings(self) -> list[str] | None:
        with self.host.store.read() as reader:
            made = [(n.driver, network_spec(n)) for n in reader.networks() if n.phase == "live"]
        texts = create.warnings_of(self.host, made)
        if not (self.host.config.ip_forward or is_forwarding()):
            texts.insert(0, "IPv4 forwarding is disabled")
        texts += client.warnings(self.host.run)
        return [f"WARNING: {text}" for text in texts] or None

    def _swarm(self) -> Json:
        if not membership.exists(self.host.root):
            return OUTSIDE
        from engine.swarm.nodes import summary

        return summary(self.host)


def network_drivers() -> Mapping[str, DriverFacts]:
    """Return the properties of every installed network driver, by driver type."""
    return available()


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"
