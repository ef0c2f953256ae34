"""What a front end may ask of the engine: one method a verb, in the shapes of Docker's Engine API (v1.45).

The command line does what docker/cli does (flags, client-side checks, tables, templates); the engine does what dockerd
does (daemon-side checks, defaults, sequence). ``reference`` is a name, an id, or a unique id prefix. JSON documents
are plain dicts with Docker's keys in Docker's order. Every method raises `engine.errors.EngineError` kinds only.
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
    """A new object's full id, and warnings for the user (one line each)."""

    id: str
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SwarmInit:
    """POST /swarm/init, as far as it has meaning here.

    ``store`` are the URLs of an etcd that the user runs (hawse's own), ``store_files`` the texts of its ``cacert``,
    ``cert`` and ``key``.
    """

    advertise: str = ""
    data_path: str = ""
    pools: Sequence[str] = ()
    subnet_size: int = 24
    store: Sequence[str] = ()
    store_files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SwarmJoin:
    """POST /swarm/join. ``role`` "" takes the role that the token gives, else it must be that."""

    remote: str
    token: str = ""
    advertise: str = ""
    data_path: str = ""
    role: str = ""


class Networks(Protocol):
    """The verbs of /networks."""

    def create(self, request: NetworkCreate) -> Created:
        """Create a network."""

    def list(self, filters: Filters) -> Documents:
        """NetworkResource documents (without Containers), in no particular order; the front end sorts."""

    def summaries(self, filters: Filters) -> Sequence[NetworkSummary]:
        """What a table needs of the networks that ``list`` gives, in the order of a table; fast though they be many."""

    def inspect(self, reference: str, *, verbose: bool = False) -> Json:
        """One NetworkResource, Containers included."""

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
        """Connect a container (or ``netns:NAME``, ``pid:N``); ``ports`` are published at once (hawse's own).

        ``force`` connects a namespace too that is a host's own.
        """

    def disconnect(self, reference: str, container: str, *, force: bool = False) -> None:
        """Disconnect a container."""

    def prune(self, filters: Filters) -> Strings:
        """Remove unused custom networks; their names."""


class Containers(Protocol):
    """The verbs of /containers."""

    def create(self, request: ContainerCreate) -> Created:
        """Create a container; nothing is started."""

    def start(self, reference: str) -> None:
        """Start a container; no error when it runs already. Raises `StartFailure` with exit code 126 or 127."""

    def open_attachment(self, reference: str, stdio: Stdio, *, stdin: bool) -> Attachment:
        """Connect to a created or running container's streams (before ``start``, so that nothing is missed)."""

    def stop(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop: the stop signal, then SIGKILL after ``timeout`` seconds (None: the container's own, else 10)."""

    def restart(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop, then start."""

    def kill(self, reference: str, signal: str = "") -> None:
        """Send a signal (SIGKILL by default)."""

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; a running one only with ``force``."""

    def rename(self, reference: str, name: str) -> None:
        """Give a container another name."""

    def wait(self, reference: str, *, condition: str = "not-running") -> int:
        """Wait for a container to end ("not-running", "next-exit", "removed"); its exit code."""

    def list(self, filters: Filters, *, all: bool = False, limit: int = -1, size: bool = False) -> Documents:
        """Documents of GET /containers/json, newest first (Id, Names, Image, ImageID, Command, Created, Ports, ...)."""

    def inspect(self, reference: str, *, size: bool = False) -> Json:
        """One document of GET /containers/{id}/json."""

    def exec(self, reference: str, request: ExecCreate, stdio: Stdio) -> int:
        """Run a command in a running container; its exit code (0 at once when detached), LEFT if the user leaves."""

    def logs(self, reference: str, options: LogOptions) -> Iterator[LogLine]:
        """Read a container's log."""

    def prune(self, filters: Filters) -> tuple[Strings, int]:
        """Remove stopped containers; their ids and the space reclaimed in bytes."""

    def publish(self, reference: str, ports: Sequence[PortSpec]) -> None:
        """Publish more ports of a container, running or not; kept across restarts (hawse's own)."""

    def unpublish(self, reference: str, first: int, last: int, protocol: str) -> None:
        """Take published container ports back, all of the range or none (hawse's own)."""

    def exited(self, container_id: str) -> None:
        """Settle a container whose process has ended: release, restart by policy, or remove (called by the runtime)."""


class Images(Protocol):
    """The verbs of /images."""

    def import_archive(self, source: BinaryIO, reference: str) -> str:
        """Import a ``docker save``, OCI or plain root file system tar (gzip too); the image's id ``sha256:...``."""

    def list(self, filters: Filters) -> Documents:
        """Documents of GET /images/json."""

    def inspect(self, reference: str) -> Json:
        """One document of GET /images/{name}/json."""

    def remove(self, reference: str, *, force: bool = False) -> Documents:
        """Remove or untag; entries {"Untagged": ...} and {"Deleted": ...} in Docker's order."""


class System(Protocol):
    """The verbs of /version and /info."""

    def version(self) -> Json:
        """Docker's /version document, filled in honestly."""

    def info(self) -> Json:
        """Docker's /info document, as far as it has meaning here."""


class Swarm(Protocol):
    """The verbs of /swarm and /nodes."""

    def init(self, request: SwarmInit) -> str:
        """Make a cluster with this host as its first manager; its node id."""

    def join(self, request: SwarmJoin) -> str:
        """Join a cluster; the role that the token gave: worker or manager."""

    def leave(self, *, force: bool = False) -> None:
        """Leave the cluster; a manager only with ``force``."""

    def join_token(self, role: str, *, rotate: bool = False) -> tuple[str, str]:
        """The token by which hosts join in a role, made anew if asked; and ``address:port`` to join at."""

    def nodes(self, filters: Filters) -> Documents:
        """Documents of the nodes that match."""

    def inspect_node(self, reference: str) -> Json:
        """The document of one node: id, id prefix, host name or ``self``."""

    def remove_node(self, reference: str, *, force: bool = False) -> None:
        """Remove a node that is down, with all it had; a live worker only with ``force``."""

    def node_id(self) -> str:
        """This host's own node id."""

    def verify(self, reference: str, *, fix: bool = False) -> Strings:
        """Compare this host's tables for a network with the cluster's store; a line for each difference."""


class Engine(Protocol):
    """The whole engine of one host; ``engine.core.open_engine()`` makes it from HAWSE_ROOT and HAWSE_RUN."""

    @property
    def networks(self) -> Networks:
        """The verbs of /networks."""

    @property
    def containers(self) -> Containers:
        """The verbs of /containers."""

    @property
    def images(self) -> Images:
        """The verbs of /images."""

    @property
    def swarm(self) -> Swarm:
        """The verbs of /swarm and /nodes."""

    @property
    def system(self) -> System:
        """The verbs of /version and /info."""
