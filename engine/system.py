"""The operations on this host as a whole; builds Docker's /version and /info with the values of hawse and this host."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from drivers.linux.host import filters_bridged, is_forwarding
from drivers.model import DriverFacts
from drivers.registry import available
from engine.agent import client
from engine.api import CheckReport, Json
from engine.cluster import membership
from engine.containers.lookup import with_actual_state
from engine.events.stream import EventStream
from engine.events.watch import EventWatch
from engine.golang import timestamps
from engine.host import Host, network_spec, raises_engine_errors, require_net_admin
from engine.ipam import LOCAL_POOLS
from engine.model import BootReport, EventOptions
from engine.recovery import check as checks
from engine.recovery import recover, shutdown
from engine.render.version import API_VERSION, DOCKER_VERSION, MIN_API_VERSION, OUTSIDE, architecture, version_text
from engine.runtime import crun
from engine.store.store_file import NAME
from engine.validate.logging import JSON_FILE, LOCAL, OTHER_DRIVERS, default_options


@raises_engine_errors
class SystemVerbs:
    """Implements `engine.api.System`, which describes the methods."""

    def __init__(self, host: Host, prepare: Callable[[], object]) -> None:
        self.host, self._prepare = host, prepare
        self._event_watch = EventWatch(host.store, host.root)

    def version(self) -> Json:
        """Return Docker's /version document.

        ``Version`` is the Docker release that hawse follows. hawse's own version is in ``Platform`` and ``Components``.
        """
        kernel, machine = os.uname().release, architecture()
        details = {
            "ApiVersion": API_VERSION, "Arch": machine, "BuildTime": "", "Experimental": "false", "GitCommit": "",
            "GoVersion": "", "KernelVersion": kernel, "MinAPIVersion": MIN_API_VERSION, "Os": "linux",
        }  # fmt: skip
        return {
            "Platform": {"Name": f"hawse {version_text()}"},
            "Components": [
                {"Name": "Engine", "Version": DOCKER_VERSION, "Details": details},
                {"Name": "hawse", "Version": version_text(), "Details": {"PythonVersion": sys.version.split()[0]}},
            ],
            "Version": DOCKER_VERSION,
            "ApiVersion": API_VERSION,
            "MinAPIVersion": MIN_API_VERSION,
            "GitCommit": "",
            "GoVersion": "",
            "Os": "linux",
            "Arch": machine,
            "KernelVersion": kernel,
        }

    def check(self, *, repair: bool = False) -> CheckReport:
        """Check the store; with ``repair``, also repair it. Return the faults and the actions of the repair."""
        act = checks.repair if repair else checks.check
        return act(self.host, self.host.root / NAME)

    def info(self) -> Json:
        """Return Docker's /info document; a field without a meaning in hawse is empty."""
        release = _os_release()
        return {
            "ID": self._id(),
            **self._counts(),
            "Driver": "hostfs",
            "DriverStatus": [],
            "IPv4Forwarding": is_forwarding(),
            "BridgeNfIptables": filters_bridged(4),
            "BridgeNfIp6tables": filters_bridged(6),
            "SystemTime": timestamps.now(),
            **self._logging(),
            "CgroupDriver": "none",
            "CgroupVersion": "2",
            "KernelVersion": os.uname().release,
            "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
            "OSVersion": release.get("VERSION_ID", ""),
            "OSType": "linux",
            "Architecture": os.uname().machine,
            "RegistryConfig": {"InsecureRegistryCIDRs": [], "IndexConfigs": {}},
            "NCPU": os.cpu_count() or 0,
            "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "DockerRootDir": str(self.host.root),
            "Name": os.uname().nodename,
            "Labels": [],
            "ServerVersion": DOCKER_VERSION,
            "Runtimes": {"runc": {"path": crun.PROGRAM}},
            "DefaultRuntime": "runc",
            "Swarm": self._swarm(),
            "LiveRestoreEnabled": True,
            "InitBinary": "tini",
            "SecurityOptions": ["name=seccomp,profile=builtin"],
            **self._pools(),
            "CDISpecDirs": [],
            "Warnings": self._warnings(),
        }

    def swarm_state(self) -> str:
        """Return "inactive", "active/manager" or "active/worker", from this host's own files."""
        if not self.host.is_clustered:
            return "inactive"
        known = membership.load(self.host.root)
        return "active/manager" if known and known.is_manager else "active/worker"

    def _id(self) -> str:
        """Return an identifier of this host and this HAWSE_ROOT, in the form of a UUID; the same after a reboot."""
        try:
            machine = Path("/etc/machine-id").read_text().strip()
        except OSError:
            machine = os.uname().nodename
        digest = hashlib.sha256(f"hawse:{machine}:{self.host.root}".encode()).hexdigest()
        return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))

    def _counts(self) -> Json:
        with self.host.store.read() as reader:
            records = reader.containers()
            images = len(reader.images())
        states = [with_actual_state(self.host, r).status for r in records]
        return {
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "ContainersPaused": 0,
            "ContainersStopped": len(states) - states.count("running"),
            "Images": images,
        }

    def _logging(self) -> Json:
        config = self.host.config
        driver, options = config.log_driver, config.log_opts
        if driver in OTHER_DRIVERS:
            driver, options = JSON_FILE, {}
        return {
            "Plugins": {"Volume": [], "Network": sorted(network_drivers()), "Log": [JSON_FILE, LOCAL]},
            "LoggingDriver": driver,
            "DefaultLogOpts": dict(default_options(driver, options, config.default_log_limit)),
        }

    def _pools(self) -> Json:
        """Return the part DefaultAddressPools of /info, or {} if daemon.json sets no address pools."""
        pools = self.host.config.default_address_pools
        if pools == LOCAL_POOLS:
            return {}
        return {"DefaultAddressPools": [{"Base": str(pool.base), "Size": pool.size} for pool in pools]}

    def trace(self, source: str, target: str, *, dry: bool = False) -> Json:
        """Find out whether ``source`` can reach ``target``, and if not, the cause; changes nothing.

        Raises PermissionDenied without root rights.
        """
        from engine.diagnosis.trace.run import trace

        require_net_admin("see the networks", "hawse trace")
        return trace(self.host, source, target, dry=dry).document()

    def answer(self, question: str) -> str:
        """Answer another host's question about this host's side of a traced path; changes nothing."""
        from engine.diagnosis.trace import answering

        with answering.limits():
            return answering.answer(self.host, question)

    def events(self, options: EventOptions, client: int = -1, output: int = -1) -> EventStream:
        """Return the events since ``options.since`` (default: now); the stream then waits for new events."""
        return EventStream(self.host.store, self._event_watch, options, client, output)

    def boot(self, timeout: float) -> BootReport:
        """Restore networks, containers and adopted namespaces after a boot of the host; idempotent."""
        self._prepare()
        return recover.boot(self.host, timeout)

    def shut_down(self) -> tuple[int, list[str]]:
        """End the processes of all containers because the host shuts down; return how many ended, and the failures."""
        return shutdown.end_all(self.host)

    def _warnings(self) -> list[str] | None:
        with self.host.store.read() as reader:
            made = [(n.driver, network_spec(n)) for n in reader.networks() if n.phase == "live"]
        texts = self.host.health_warnings(made)
        if not (self.host.config.ip_forward or is_forwarding()):
            texts.insert(0, "IPv4 forwarding is disabled")
        texts += client.warnings(self.host.run)
        return [f"WARNING: {text}" for text in texts] or None

    def _swarm(self) -> Json:
        if not self.host.is_clustered:
            return OUTSIDE
        from engine.swarm.nodes import summary

        return summary(self.host)


def network_drivers() -> Mapping[str, DriverFacts]:
    """Return the properties of every installed network driver, by driver type."""
    return available()


def _os_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
