"""The engine of one host: every verb of engine.api, each only a sequence of the modules that know how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from drivers.linux.host import has_net_admin
from engine.api import Created, Documents, Images, Json, Strings, Swarm
from engine.cluster import network_hooks
from engine.config import load_config
from engine.containers import connect as connections
from engine.containers import create as creation
from engine.containers import disconnect as containers_disconnect
from engine.containers import exec as executing
from engine.containers import lookup, on_exit, query, stop
from engine.containers import publish as publishing
from engine.containers import remove as containers_remove
from engine.containers import rename as renaming
from engine.containers import start as containers_start
from engine.errors import PermissionDenied
from engine.host import Host
from engine.images import ImageStore
from engine.model import (
    ContainerCreate,
    EndpointSettings,
    ExecCreate,
    Filters,
    LogOptions,
    NetworkCreate,
    NetworkSummary,
    PortSpec,
)
from engine.networks import create as networks_create
from engine.networks import predefined
from engine.networks import query as networks_query
from engine.networks import remove as networks_remove
from engine.paths import root_directory, run_directory
from engine.recovery import recover
from engine.runtime.api import Attachment, LogLine, Stdio
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore
from engine.swarm.verbs import SwarmVerbs
from engine.system import SystemVerbs


def open_engine() -> LocalEngine:
    """Make the engine of the host that HAWSE_ROOT, HAWSE_RUN and the current network namespace name; no I/O yet."""
    root, run = root_directory(), run_directory()
    return LocalEngine(Host(root, run, load_config(), SqliteStore(root / "hawse.db"), LocalRuntime(root, run)))


class LocalEngine:
    """The engine on this machine's kernel."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @cached_property
    def networks(self) -> NetworkVerbs:
        """The verbs of /networks."""
        return NetworkVerbs(self.host)

    @cached_property
    def containers(self) -> ContainerVerbs:
        """The verbs of /containers."""
        return ContainerVerbs(self.host)

    @cached_property
    def images(self) -> Images:
        """The verbs of /images."""
        return ImageStore(self.host.store, self.host.root)

    @cached_property
    def swarm(self) -> Swarm:
        """The verbs of /swarm and /nodes."""
        return SwarmVerbs(self.host, prepare=lambda: Verbs(self.host).changing())

    @cached_property
    def system(self) -> SystemVerbs:
        """The verbs of /version and /info."""
        return SystemVerbs(self.host)


def require_net_admin() -> None:
    """Refuse, in one line, what the kernel would refuse piecemeal."""
    if not has_net_admin():
        raise PermissionDenied("permission denied: hawse needs root (CAP_NET_ADMIN) to change networks")


class Verbs:
    """What all verbs share: a host that is made ready before it is changed."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._ready = False

    def reading(self) -> Host:
        """The host for a verb that only reads; the predefined networks are recorded where that has not happened."""
        predefined.ensure(self.host)
        network_hooks.ensure_agent(self.host)
        return self.host

    def changing(self) -> Host:
        """The host for a verb that changes something: permitted, and put right first, once in a command."""
        if not self._ready:
            require_net_admin()
            recover.hold_shared_lock(self.host)
            predefined.ensure(self.host)
            recover.recover(self.host)
            network_hooks.ensure_agent(self.host)
            self._ready = True
        return self.host


class NetworkVerbs(Verbs):
    """engine.api.Networks."""

    def create(self, request: NetworkCreate) -> Created:
        """Create a network."""
        host = self.changing()
        return networks_create.create(host, networks_create.with_default_options(request, host.config))

    def list(self, filters: Filters) -> Documents:
        """List networks."""
        return networks_query.list_documents(self.reading(), filters)

    def summaries(self, filters: Filters) -> Sequence[NetworkSummary]:
        """List networks in brief."""
        return networks_query.list_summaries(self.reading(), filters)

    def inspect(self, reference: str, *, verbose: bool = False) -> Json:
        """Inspect one network."""
        return networks_query.inspect(self.reading(), reference, verbose=verbose)

    def remove(self, reference: str) -> None:
        """Remove a network."""
        host = self.changing()
        containers_disconnect.release_orphan_endpoints(host, reference)
        networks_remove.remove(host, reference)
        recover.schedule_cleanup(host)

    def connect(
        self,
        reference: str,
        container: str,
        settings: EndpointSettings,
        ports: Sequence[PortSpec] = (),
        *,
        force: bool = False,
    ) -> None:
        """Connect a container."""
        connections.connect(self.changing(), reference, container, settings, ports, force=force)

    def disconnect(self, reference: str, container: str, *, force: bool = False) -> None:
        """Disconnect a container."""
        containers_disconnect.disconnect(self.changing(), reference, container, force=force)

    def prune(self, filters: Filters) -> Strings:
        """Remove unused networks."""
        host = self.changing()
        removed = networks_remove.prune(host, filters)
        recover.schedule_cleanup(host)
        return removed


class ContainerVerbs(Verbs):
    """engine.api.Containers."""

    def create(self, request: ContainerCreate) -> Created:
        """Create a container."""
        return creation.create(self.changing(), request)

    def start(self, reference: str) -> None:
        """Start a container."""
        host = self.changing()
        containers_start.start_by_user(host, lookup.resolve(host, reference).id)

    def open_attachment(self, reference: str, stdio: Stdio, *, stdin: bool) -> Attachment:
        """Connect to a container's streams."""
        return executing.open_attachment(self.host, reference, stdio, stdin=stdin)

    def stop(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop a container."""
        host = self.changing()
        found = lookup.resolve(host, reference)
        with stop.error_prefix(f"cannot stop container: {reference}"):
            stop.stop(host, found.id, timeout, signal)

    def restart(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Restart a container."""
        stop.restart(self.changing(), reference, timeout, signal)

    def kill(self, reference: str, signal: str = "") -> None:
        """Signal a container."""
        stop.kill(self.changing(), reference, signal)

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; there are no volumes that could be kept."""
        del volumes
        host = self.changing()
        containers_remove.remove(host, lookup.resolve(host, reference).id, force=force)
        recover.schedule_cleanup(host)

    def rename(self, reference: str, name: str) -> None:
        """Rename a container."""
        renaming.rename(self.changing(), reference, name)

    def wait(self, reference: str, *, condition: str = "not-running") -> int:
        """Wait for a container to end."""
        return executing.wait(self.host, reference, condition)

    def list(self, filters: Filters, *, all: bool = False, limit: int = -1, size: bool = False) -> Documents:
        """List containers."""
        return query.list_documents(self.reading(), filters, everything=all, limit=limit, size=size)

    def inspect(self, reference: str, *, size: bool = False) -> Json:
        """Inspect one container."""
        return query.inspect(self.reading(), reference, size=size)

    def exec(self, reference: str, request: ExecCreate, stdio: Stdio) -> int:
        """Run a command in a container."""
        return executing.execute(self.host, reference, request, stdio)

    def logs(self, reference: str, options: LogOptions) -> Iterator[LogLine]:
        """Read a container's log."""
        return executing.logs(self.host, reference, options)

    def prune(self, filters: Filters) -> tuple[Strings, int]:
        """Remove stopped containers."""
        host = self.changing()
        removed = containers_remove.prune(host, filters)
        recover.schedule_cleanup(host)
        return removed

    def publish(self, reference: str, ports: Sequence[PortSpec]) -> None:
        """Publish more ports."""
        publishing.publish(self.changing(), reference, ports)

    def unpublish(self, reference: str, first: int, last: int, protocol: str) -> None:
        """Take ports back."""
        publishing.unpublish(self.changing(), reference, first, last, protocol)

    def exited(self, container_id: str) -> None:
        """Settle a container whose process has ended."""
        host = self.changing()
        on_exit.exited(host, container_id)
        recover.schedule_cleanup(host)
