"""The engine of one host. This module implements the operations of `engine.api` by calls to the other modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

from engine.api import Created, Diagnostics, Documents, Images, Json, Strings, Swarm
from engine.cluster import hooks
from engine.config import load_config
from engine.containers import connect as containers_connect
from engine.containers import create as containers_create
from engine.containers import disconnect as containers_disconnect
from engine.containers import exec as containers_exec
from engine.containers import lookup, on_exit, processes, query, stop
from engine.containers import publish as containers_publish
from engine.containers import rejoin as containers_rejoin
from engine.containers import remove as containers_remove
from engine.containers import rename as containers_rename
from engine.containers import start as containers_start
from engine.containers import stats as containers_stats
from engine.containers import unlink as containers_unlink
from engine.containers import update as containers_update
from engine.errors import EngineError
from engine.host import Host, raises_engine_errors, require_net_admin
from engine.images import ImageStore
from engine.model import (
    Adoption,
    ContainerCreate,
    EndpointSettings,
    ExecCreate,
    Filters,
    LogOptions,
    NetworkCreate,
    NetworkSummary,
    PortSpec,
    RestartPolicy,
)
from engine.networks import advice as networks_advice
from engine.networks import create as networks_create
from engine.networks import predefined
from engine.networks import query as networks_query
from engine.networks import remove as networks_remove
from engine.paths import root_directory, run_directory
from engine.recovery import recover
from engine.runtime.api import Attachment, ContainerStreams, EndWatch, LogLine, Stdio, WaitReadable
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore
from engine.store.store_file import NAME
from engine.system import SystemVerbs


def open_engine() -> LocalEngine:
    """Create the engine from HAWSE_ROOT, HAWSE_RUN, the configuration file and the current network namespace.

    Does not open the store. Raises PermissionDenied if another user can change one of the directories, and
    InvalidArgument for an invalid configuration file.
    """
    root, run = root_directory(), run_directory()
    return LocalEngine(Host(root, run, load_config(), SqliteStore(root / NAME), LocalRuntime(root, run)))


class LocalEngine:
    """The engine of this machine."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @cached_property
    def networks(self) -> NetworkVerbs:
        """The operations of Docker's /networks API."""
        return NetworkVerbs(self._preparation)

    @cached_property
    def containers(self) -> ContainerVerbs:
        """The operations of Docker's /containers API."""
        return ContainerVerbs(self._preparation)

    @cached_property
    def images(self) -> Images:
        """The operations of Docker's /images API."""
        return ImageStore(self.host.store, self.host.root, check=lambda: predefined.ensure(self.host))

    @cached_property
    def swarm(self) -> Swarm:
        """The operations of Docker's /swarm and /nodes API."""
        from engine.swarm.verbs import SwarmVerbs

        return SwarmVerbs(self.host, self._preparation.changing)

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """The operations that explain the state of this host's networks."""
        from engine.diagnosis.verbs import DiagnosisVerbs

        return DiagnosisVerbs(self.host, self._preparation.reading, self._preparation.changing)

    @cached_property
    def system(self) -> SystemVerbs:
        """The operations on this host as a whole, such as Docker's /version and /info."""
        return SystemVerbs(self.host, self._preparation.booting)

    @cached_property
    def _preparation(self) -> Preparation:
        return Preparation(self.host)


def _cleaned_up(host: Host, outcomes: Iterable[EngineError | None], number: int) -> Iterator[EngineError | None]:
    """Yield the outcomes of ``number`` removals; before the last outcome, start two background processes if needed.

    An outcome is None after a removal, or the error. The processes are started before the last outcome, because the
    caller may end the iteration there:

    - One process deletes the kernel objects of removed networks.
    - The other process removes hawse's kernel state from a host without networks and containers.
    """
    for place, outcome in enumerate(outcomes, 1):
        if place == number:
            recover.finish_in_background(host, number)
            recover.schedule_cleanup(host)
        yield outcome


class Preparation:
    """Prepares the host for operations. Most operations call `reading`, `booting` or `changing` first."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._ready = False

    def reading(self) -> Host:
        """Return the host for an operation that only reads.

        Records the predefined networks if their records are missing. On a cluster host, also starts the agent if it is
        not running.
        """
        predefined.ensure(self.host)
        hooks.ensure_agent(self.host)
        return self.host

    def booting(self) -> None:
        """Prepare the host for `SystemVerbs.boot`, which restores networks and containers after a boot.

        Raises PermissionDenied without CAP_NET_ADMIN. Unlike `changing`, repairs nothing. The preparation has three
        steps:

        - Takes the host lock in shared mode until this process ends. Meanwhile, no process removes hawse's kernel state
          from an unused host.
        - Records the predefined networks if they are missing.
        - On a cluster host, starts the agent if it is not running.
        """
        require_net_admin("change networks")
        recover.hold_shared_lock(self.host)
        predefined.ensure(self.host)
        hooks.ensure_agent(self.host)

    def changing(self) -> Host:
        """Return the host for an operation that changes something.

        The first call records missing predefined networks, finishes or undoes the work of killed commands, and repairs
        kernel state that networks share. On a cluster host, it also starts the agent. It raises PermissionDenied
        without CAP_NET_ADMIN. Later calls only return the host.
        """
        if not self._ready:
            require_net_admin("change networks")
            recover.hold_shared_lock(self.host)
            recorded = predefined.ensure(self.host)
            recover.recover(self.host)
            predefined.follow_settings(self.host, recorded)
            hooks.ensure_agent(self.host)
            self._ready = True
        return self.host


class _Verbs:
    """The base class of `NetworkVerbs` and `ContainerVerbs`: stores the host, and the methods that prepare the host."""

    def __init__(self, preparation: Preparation) -> None:
        self.host, self.reading, self.changing = preparation.host, preparation.reading, preparation.changing


@raises_engine_errors
class NetworkVerbs(_Verbs):
    """Implements `engine.api.Networks`, which describes the methods."""

    def create(self, request: NetworkCreate) -> Created:
        """Create a network."""
        host = self.changing()
        return networks_create.create(host, networks_create.with_default_options(request, host.config))

    def advice(self, request: NetworkCreate) -> Strings:
        """Return one line of advice for each setting of a new network that the user perhaps does not want."""
        return networks_advice.lines(self.host, request)

    def list(self, filters: Filters) -> Documents:
        """Return the documents of all networks that match the filters, unsorted and with an empty ``Containers``."""
        return networks_query.list_documents(self.reading(), filters)

    def summaries(self, filters: Filters) -> Sequence[NetworkSummary]:
        """Return the networks that match the filters, with the fields and in the order of ``network ls``."""
        return networks_query.list_summaries(self.reading(), filters)

    def inspect(self, reference: str, *, verbose: bool = False) -> Json:
        """Return the document of one network."""
        return networks_query.inspect(self.reading(), reference, verbose=verbose)

    def remove(self, reference: str) -> None:
        """Remove a network."""
        for error in self.remove_each([reference]):
            if error is not None:
                raise error

    def remove_each(self, references: Sequence[str]) -> Iterator[EngineError | None]:
        """Remove several networks together; yield None or the error for each reference, in order.

        First releases the endpoints of containers that were removed or have ended.
        """
        try:
            host = self.changing()
        except EngineError as error:
            yield from [error] * len(references)
            return
        for reference in references:
            # If an endpoint cannot be released, the removal of its network fails and reports the endpoint.
            with suppress(EngineError):
                containers_disconnect.release_orphan_endpoints(host, reference)
        yield from _cleaned_up(host, networks_remove.remove_each(host, references), len(references))

    def connect(
        self,
        reference: str,
        container: str,
        settings: EndpointSettings,
        ports: Sequence[PortSpec] = (),
        *,
        adoption: Adoption | None = None,
    ) -> None:
        """Connect a container, or a network namespace that hawse did not create, to a network."""
        containers_connect.connect(self.changing(), reference, container, settings, ports, adoption)

    def disconnect(self, reference: str, container: str, *, force: bool = False) -> None:
        """Disconnect a container from a network."""
        containers_disconnect.disconnect(self.changing(), reference, container, force=force)

    def prune(self, filters: Filters) -> Strings:
        """Remove unused custom networks and return their names."""
        host = self.changing()
        removed = networks_remove.prune(host, filters)
        recover.finish_in_background(host, len(removed))
        recover.schedule_cleanup(host)
        return removed


@raises_engine_errors
class ContainerVerbs(_Verbs):
    """Implements `engine.api.Containers`, which describes the methods."""

    def create(self, request: ContainerCreate) -> Created:
        """Create a container without starting it."""
        return containers_create.create(self.changing(), request)

    def start(self, reference: str) -> bool:
        """Start a container; return False, without effect, if it is running or waits for an automatic restart."""
        host = self.changing()
        return containers_start.start_by_user(host, lookup.resolve_own(host, reference).id)

    def open_attachment(self, reference: str, stdio: Stdio, *, stdin: bool) -> Attachment:
        """Connect ``stdio``, the caller's own streams, to a container's standard streams."""
        return containers_exec.open_attachment(self.host, reference, stdio, stdin=stdin)

    def stop(self, reference: str, timeout: int | None = None, signal: str = "") -> bool:
        """Stop a container; return False, without effect, if it neither runs nor waits for an automatic restart."""
        host = self.changing()
        container = lookup.resolve_own(host, reference)
        with stop.error_prefix(f"cannot stop container: {reference}"):
            return stop.stop(host, container.id, timeout, signal)

    def restart(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop a container as `stop` does, then start it."""
        stop.restart(self.changing(), reference, timeout, signal)

    def kill(self, reference: str, signal: str = "") -> None:
        """Send a signal (by default SIGKILL) to a container's process."""
        stop.kill(self.changing(), reference, signal)

    def remove(self, reference: str, *, force: bool = False) -> None:
        """Remove a container; with ``force``, also a running container."""
        for error in self.remove_each([reference], force=force):
            if error is not None:
                raise error

    def remove_each(self, references: Sequence[str], *, force: bool = False) -> Iterator[EngineError | None]:
        """Remove several containers together; yield None or the error for each reference, in order."""
        try:
            host = self.changing()
        except EngineError as error:
            yield from [error] * len(references)
            return
        yield from _cleaned_up(host, containers_remove.remove_each(host, references, force=force), len(references))

    def rename(self, reference: str, name: str) -> None:
        """Rename a container."""
        containers_rename.rename(self.changing(), reference, name)

    def unlink(self, reference: str) -> None:
        """Remove a legacy link (``--link``); the reference "web/db" means the link ``db`` of the container ``web``."""
        containers_unlink.unlink(self.changing(), reference)

    def update(self, reference: str, policy: RestartPolicy | None) -> None:
        """Change a container's restart policy."""
        containers_update.update(self.changing(), reference, policy)

    def wait(self, reference: str, *, condition: str = "not-running") -> int:
        """Wait until a container does not run or is removed; return its exit code."""
        return containers_exec.wait(self.host, reference, condition)

    def list(
        self, filters: Filters, *, all: bool = False, limit: int = -1, size: bool = False, networks: bool = True
    ) -> Documents:
        """Return the documents of GET /containers/json, newest container first."""
        shown = query.Shown(size, networks)
        return query.list_documents(self.reading(), filters, everything=all, limit=limit, shown=shown)

    def inspect(self, reference: str, *, size: bool = False) -> Json:
        """Return the document of one container; with ``size``, it contains the container's disk usage."""
        return query.inspect(self.reading(), reference, size=size)

    def gateway_priorities(self, container_ids: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the gateway priorities that are not 0, as {container id: {network name: priority}}."""
        return query.gateway_priorities(self.reading(), container_ids)

    def announce_exec(self, reference: str, request: ExecCreate) -> None:
        """Add the event "exec_create" of a command that `exec` will run later."""
        containers_exec.announce(self.host, reference, request)

    def exec(self, reference: str, request: ExecCreate, stdio: Stdio) -> int:
        """Run a command in a running container, and return the command's exit code."""
        return containers_exec.execute(self.host, reference, request, stdio)

    def top(self, reference: str, arguments: str = "") -> Json:
        """Return the document of GET /containers/{id}/top; ``arguments`` are options of ps(1)."""
        return processes.top(self.reading(), reference, arguments)

    def exec_pid(self, reference: str, runner: int) -> int:
        """Return the pid of the command that a process runs with `exec` in a container, or 0 if there is none."""
        return processes.exec_pid(self.reading(), reference, runner)

    def current_stats(self, references: Sequence[str]) -> Documents:
        """Return each container's current resource usage as the document of GET /containers/{id}/stats."""
        return containers_stats.current_stats(self.reading(), references)

    def stats(self, reference: str, *, once: bool = False, one_shot: bool = False) -> Iterator[Json]:
        """Yield a document with the resource usage of a container every second."""
        return containers_stats.stream(self.reading(), reference, once=once, one_shot=one_shot)

    def open_streams(self, reference: str, *, stdin: bool) -> ContainerStreams:
        """Connect to a container's standard streams, for a caller that copies the data itself."""
        return containers_exec.open_streams(self.host, reference, stdin=stdin)

    def resize(self, reference: str, rows: int, columns: int) -> None:
        """Set the size of a container's terminal."""
        containers_exec.resize(self.host, reference, rows, columns)

    def watch_end(self, reference: str, *, next_run: bool) -> EndWatch:
        """Return an object with a file descriptor that becomes readable when the container's present run ends."""
        return containers_exec.watch_end(self.host, reference, next_run=next_run)

    def logs(self, reference: str, options: LogOptions, wait: WaitReadable | None = None) -> Iterator[LogLine]:
        """Return the lines of a container's log."""
        return containers_exec.logs(self.host, reference, options, wait)

    def prune(self, filters: Filters) -> tuple[Strings, int]:
        """Remove stopped containers; return their ids and the reclaimed space in bytes."""
        host = self.changing()
        removed = containers_remove.prune(host, filters)
        recover.schedule_cleanup(host)
        return removed

    def publish(self, reference: str, ports: Sequence[PortSpec]) -> None:
        """Publish more ports of a container, which may be running or stopped."""
        containers_publish.publish(self.changing(), reference, ports)

    def unpublish(self, reference: str, ports: Sequence[PortSpec]) -> None:
        """Unpublish ports of a container."""
        containers_publish.unpublish(self.changing(), reference, ports)

    def exited(self, container_id: str, finished_at: str = "") -> None:
        """Handle the end of a container's process, or the end of the wait before an automatic restart."""
        host = self.changing()
        on_exit.exited(host, container_id, finished_at)
        recover.schedule_cleanup(host)

    def finalize_exit(self, container_id: str) -> None:
        """Release the addresses and ports of a container whose process has ended; with --rm, remove the container."""
        host = self.changing()
        on_exit.record_end(host, container_id)
        recover.schedule_cleanup(host)

    def rejoin(self) -> None:
        """Record the end of adopted namespaces, and connect those again that have come back after a boot."""
        containers_rejoin.follow_all(self.changing())
