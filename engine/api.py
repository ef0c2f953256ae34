"""The engine's interface to the command line: one method for each operation, shaped like Docker's Engine API (v1.45).

The command line does what docker/cli does: flags, client-side checks, tables, templates. The engine does what dockerd
does: daemon-side checks, defaults, order of the steps.

A ``reference`` is a name, an id, or a unique id prefix. JSON documents are plain dicts with Docker's keys in Docker's
order. Every method raises only `engine.errors.EngineError` and its subclasses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

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
from engine.runtime.api import Attachment, LogLine, Stdio

Json = dict[str, Any]
Documents = list[Json]
Strings = list[str]


@dataclass(frozen=True, slots=True)
class Created:
    """The full id of a new object, and warnings for the user (one line each)."""

    id: str
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SwarmInit:
    """The body of POST /swarm/init, reduced to the fields that hawse uses.

    ``store`` holds the URLs of an etcd that the user runs (a hawse extension). ``store_files`` holds the contents of
    its ``cacert``, ``cert`` and ``key`` files.
    """

    advertise: str = ""
    data_path: str = ""
    pools: Sequence[str] = ()
    subnet_size: int = 24
    store: Sequence[str] = ()
    store_files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SwarmJoin:
    """The body of POST /swarm/join.

    With ``role`` "", the host takes the role of the token. Otherwise the token must be for that role.
    """

    remote: str
    token: str = ""
    advertise: str = ""
    data_path: str = ""
    role: str = ""


class Networks(Protocol):
    """The operations of Docker's /networks API."""

    def create(self, request: NetworkCreate) -> Created:
        """Create a network."""

    def list(self, filters: Filters) -> Documents:
        """Return NetworkResource documents, without Containers and unsorted; the command line sorts them."""

    def summaries(self, filters: Filters) -> Sequence[NetworkSummary]:
        """Return the table fields of the networks that match, in table order; fast even for many networks."""

    def inspect(self, reference: str, *, verbose: bool = False) -> Json:
        """Return the NetworkResource document of one network, including its Containers."""

    def remove(self, reference: str) -> None:
        """Remove a network that has no active endpoints."""

    def connect(
        self,
        reference: str,
        container: str,
        settings: EndpointSettings,
        ports: Sequence[PortSpec] = (),
        *,
        force: bool = False,
    ) -> None:
        """Connect a container or a foreign namespace (``netns:NAME``, ``pid:N``) to a network.

        ``ports`` are published together with the connection (a hawse extension). A namespace that is a host's own is
        connected only with ``force``.
        """

    def disconnect(self, reference: str, container: str, *, force: bool = False) -> None:
        """Disconnect a container from a network."""

    def prune(self, filters: Filters) -> Strings:
        """Remove unused custom networks and return their names."""


class Containers(Protocol):
    """The operations of Docker's /containers API."""

    def create(self, request: ContainerCreate) -> Created:
        """Create a container without starting it."""

    def start(self, reference: str) -> None:
        """Start a container; no effect on a running one. Raises `StartFailure` with exit code 126 or 127."""

    def open_attachment(self, reference: str, stdio: Stdio, *, stdin: bool) -> Attachment:
        """Connect to the streams of a container that was created or runs.

        Callers do this before ``start``, so that no output is missed.
        """

    def stop(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop a container with its stop signal, then with SIGKILL after ``timeout`` seconds.

        With ``timeout`` None, the container's own timeout applies, or 10 seconds if it has none.
        """

    def restart(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop a container, then start it."""

    def kill(self, reference: str, signal: str = "") -> None:
        """Send a signal to a container (SIGKILL by default)."""

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; a running container only with ``force``."""

    def rename(self, reference: str, name: str) -> None:
        """Rename a container."""

    def wait(self, reference: str, *, condition: str = "not-running") -> int:
        """Wait for a container and return its exit code.

        ``condition`` is "not-running", "next-exit" or "removed".
        """

    def list(self, filters: Filters, *, all: bool = False, limit: int = -1, size: bool = False) -> Documents:
        """Return the documents of GET /containers/json, newest first.

        Their keys are Id, Names, Image, ImageID, Command, Created, Ports and so on.
        """

    def inspect(self, reference: str, *, size: bool = False) -> Json:
        """Return the document of GET /containers/{id}/json."""

    def exec(self, reference: str, request: ExecCreate, stdio: Stdio) -> int:
        """Run a command in a running container and return its exit code.

        Returns 0 immediately if the command is detached, and LEFT if the user detaches from it.
        """

    def logs(self, reference: str, options: LogOptions) -> Iterator[LogLine]:
        """Return the lines of a container's log."""

    def prune(self, filters: Filters) -> tuple[Strings, int]:
        """Remove stopped containers; return their ids and the reclaimed space in bytes."""

    def publish(self, reference: str, ports: Sequence[PortSpec]) -> None:
        """Publish more ports of a container, running or not; they survive restarts (a hawse extension)."""

    def unpublish(self, reference: str, first: int, last: int, protocol: str) -> None:
        """Unpublish container ports ``first`` to ``last``: all of them or none (a hawse extension)."""

    def exited(self, container_id: str) -> None:
        """Handle the end of a container's process; called by the runtime.

        Releases what the container held. Then restarts it by its policy, or removes it if it was started with --rm.
        """


class Images(Protocol):
    """The operations of Docker's /images API."""

    def import_archive(self, source: BinaryIO, reference: str) -> str:
        """Import an image from a tar archive, plain or gzip; return its id ``sha256:...``.

        The archive is from ``docker save``, in OCI layout, or a plain root file system.
        """

    def list(self, filters: Filters) -> Documents:
        """Return the documents of GET /images/json."""

    def inspect(self, reference: str) -> Json:
        """Return the document of GET /images/{name}/json."""

    def remove(self, reference: str, *, force: bool = False) -> Documents:
        """Remove or untag an image; return entries {"Untagged": ...} and {"Deleted": ...} in Docker's order."""


class System(Protocol):
    """The operations of Docker's /version and /info API."""

    def version(self) -> Json:
        """Return Docker's /version document with hawse's real values."""

    def info(self) -> Json:
        """Return Docker's /info document, reduced to the fields that apply to hawse."""


class Swarm(Protocol):
    """The operations of Docker's /swarm and /nodes API."""

    def init(self, request: SwarmInit) -> str:
        """Create a cluster with this host as its first manager; return its node id."""

    def join(self, request: SwarmJoin) -> str:
        """Join a cluster and return the role that the token gave: worker or manager."""

    def leave(self, *, force: bool = False) -> None:
        """Leave the cluster; a manager leaves only with ``force``."""

    def join_token(self, role: str, *, rotate: bool = False) -> tuple[str, str]:
        """Return the token for joining in a role, and the ``address:port`` to join at.

        With ``rotate``, the token is replaced first.
        """

    def nodes(self, filters: Filters) -> Documents:
        """Return the documents of the nodes that match."""

    def inspect_node(self, reference: str) -> Json:
        """Return the document of one node, found by id, id prefix, host name or ``self``."""

    def remove_node(self, reference: str, *, force: bool = False) -> None:
        """Remove a node that is down, with everything recorded for it; a live worker only with ``force``."""

    def node_id(self) -> str:
        """Return the node id of this host."""

    def verify(self, reference: str, *, fix: bool = False) -> Strings:
        """Compare this host's tables for a network with the cluster's store; return one line per difference.

        With ``fix``, the differences are also repaired.
        """


class Engine(Protocol):
    """The engine of one host.

    ``engine.core.open_engine()`` creates it from HAWSE_ROOT and HAWSE_RUN.
    """

    @property
    def networks(self) -> Networks:
        """The operations of Docker's /networks API."""

    @property
    def containers(self) -> Containers:
        """The operations of Docker's /containers API."""

    @property
    def images(self) -> Images:
        """The operations of Docker's /images API."""

    @property
    def swarm(self) -> Swarm:
        """The operations of Docker's /swarm and /nodes API."""

    @property
    def system(self) -> System:
        """The operations of Docker's /version and /info API."""
