"""The engine's interface for the command line and the API service, shaped like Docker's Engine API (v1.45).

The command line does what docker/cli does: parse flags, make the client-side checks, and print tables and templates.
The engine does what dockerd does: make the daemon-side checks, fill in defaults, and perform the steps of an operation
in dockerd's order.

A ``reference`` is a name, an id, or a unique id prefix. JSON documents are plain dicts with Docker's keys in Docker's
order. Every method raises only `engine.errors.EngineError` and its subclasses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from msgspec import Struct, field

from engine.errors import EngineError
from engine.model import (
    Adoption,
    BootReport,
    ContainerCreate,
    EndpointSettings,
    Event,
    EventOptions,
    ExecCreate,
    Filters,
    ImageRecord,
    LogOptions,
    NetworkCreate,
    NetworkSummary,
    PortSpec,
    RestartPolicy,
)
from engine.runtime.api import Attachment, ContainerStreams, EndWatch, LogLine, Stdio, WaitReadable

Json = dict[str, Any]
Documents = list[Json]
Strings = list[str]


class Created(Struct, frozen=True):
    """The result of a create operation: the new object's id, and warnings for the user (one line each)."""

    id: str
    warnings: Sequence[str] = ()


class SwarmInit(Struct, frozen=True):
    """The body of POST /swarm/init, reduced to the fields that hawse uses.

    - ``advertise``: where other hosts reach this host, as IP|INTERFACE[:PORT]; "" means the host's only address
    - ``data_path``: where other hosts send the packets of containers, as IP|INTERFACE; "" means the IP address that
      ``advertise`` determines
    - ``pools``: the address ranges from which cluster networks get their subnets; empty for Docker's default
    - ``subnet_size``: the prefix length of these subnets
    - ``store``: the URLs of an etcd that the user runs (a hawse extension); empty for an etcd that hawse runs
    - ``store_files``: the contents of the TLS files ``cacert``, ``cert`` and ``key`` for the connection to this etcd
    """

    advertise: str = ""
    data_path: str = ""
    pools: Sequence[str] = ()
    subnet_size: int = 24
    store: Sequence[str] = ()
    store_files: Mapping[str, str] = field(default_factory=dict)


class SwarmJoin(Struct, frozen=True):
    """The body of POST /swarm/join.

    - ``remote``: the address of a manager
    - ``token``: the join token, which also determines the host's role
    - ``advertise``: where other hosts reach this host, as IP|INTERFACE[:PORT]; "" means the address from which this
      host reaches the manager
    - ``data_path``: where other hosts send the packets of containers, as IP|INTERFACE; "" means the IP address that
      ``advertise`` determines
    - ``role``: the role that the token must have, or "" for any role
    """

    remote: str
    token: str = ""
    advertise: str = ""
    data_path: str = ""
    role: str = ""


class CheckReport(Struct, frozen=True):
    """The result of a check of the store.

    ``problems`` has one line for each fault. ``repaired`` is True if a repair ran. ``done`` has one line for each
    action of the repair.
    """

    problems: Sequence[str]
    done: Sequence[str] = ()
    repaired: bool = False


OK, WARNING, FAULT = "ok", "warning", "fault"


class Check(Struct, frozen=True):
    """One result of ``hawse doctor``.

    ``status`` is `OK`, `WARNING` or `FAULT`. ``object`` is the checked object, such as "network app". ``what`` is the
    finding. ``cause`` and ``fix`` are "" if there is no fault, or if they are unknown.
    """

    status: str
    object: str
    what: str
    cause: str = ""
    fix: str = ""


class Diagnosis(Struct, frozen=True):
    """All results of ``hawse doctor``; ``repaired`` has one line for each repair of ``--fix``."""

    checks: Sequence[Check]
    repaired: Sequence[str] = ()


class EventStream(Protocol):
    """The events that match the options of `System.events`, each event once, in the order of their occurrence.

    One thread iterates; the iteration blocks until the next event. It ends at the time ``until`` of the options, or
    after `stop`. It raises EngineError if the store cannot be read.
    """

    def __iter__(self) -> Iterator[Event]:
        """Yield the events; may be called once."""

    def stop(self) -> None:
        """End the iteration soon, even if it waits for an event; idempotent, and callable from any thread."""

    def close(self) -> None:
        """Close the stream; idempotent. Call this after the iteration, or use the stream as a context manager."""

    def __enter__(self) -> EventStream: ...

    def __exit__(self, *_: object) -> None: ...


class Networks(Protocol):
    """The operations of Docker's /networks API."""

    def create(self, request: NetworkCreate) -> Created:
        """Create a network."""

    def advice(self, request: NetworkCreate) -> Strings:
        """Return a line for each Docker option in ``request`` that has no effect in hawse, and for each subnet overlap.

        A subnet that the user chose for a bridge network may overlap a subnet of a host interface. Packets to one of
        the two subnets then take the route of the other. The caller has already called `create` with ``request``.
        """

    def list(self, filters: Filters) -> Documents:
        """Return the NetworkResource documents of all networks that match the filters.

        The documents are unsorted. As in Docker, ``Containers`` is {} in each document; `inspect` lists the containers.
        """

    def summaries(self, filters: Filters) -> Sequence[NetworkSummary]:
        """Return the networks that match the filters, in the order in which ``network ls`` prints them.

        Each result has only the fields that ``network ls`` shows, so the call is fast even for many networks.
        """

    def inspect(self, reference: str, *, verbose: bool = False) -> Json:
        """Return the NetworkResource document of one network, including its Containers.

        With ``verbose``, the document also has the numbers of used and available addresses.
        """

    def remove(self, reference: str) -> None:
        """Remove a network.

        Raises Forbidden if the network has active endpoints, is predefined, or is the configuration of another network.
        """

    def remove_each(self, references: Sequence[str]) -> Iterator[EngineError | None]:
        """Remove several networks together.

        For each reference, in order, yields None after the removal of the network, or the error.
        """

    def connect(
        self,
        reference: str,
        container: str,
        settings: EndpointSettings,
        ports: Sequence[PortSpec] = (),
        *,
        adoption: Adoption | None = None,
    ) -> None:
        """Connect a container to a network; ``reference`` is the network's name or id.

        ``container`` may also be a network namespace that hawse did not create, given as ``netns:NAME`` or ``pid:N``.
        Such a namespace is called "adopted" after the connection. ``adoption`` has the user's settings for this
        namespace. ``ports`` are host ports to publish in the same operation (a hawse extension). Raises Forbidden for a
        host's own network namespace, such as that of PID 1, unless ``adoption.force`` is set.
        """

    def disconnect(self, reference: str, container: str, *, force: bool = False) -> None:
        """Disconnect a container from a network; ``reference`` is the network's name or id.

        With ``force``, also removes the endpoint of a container that no longer exists.
        """

    def prune(self, filters: Filters) -> Strings:
        """Remove unused custom networks and return their names."""


class Containers(Protocol):
    """The operations of Docker's /containers API."""

    def create(self, request: ContainerCreate) -> Created:
        """Create a container without starting it."""

    def start(self, reference: str) -> bool:
        """Start a container; return False, without effect, if it is running or waits for an automatic restart.

        Raises `StartFailure` with exit code 126 or 127 if the container's command cannot be executed.
        """

    def open_attachment(self, reference: str, stdio: Stdio, *, stdin: bool) -> Attachment:
        """Connect to the standard streams of a container that is created or running.

        ``stdio`` are the caller's own streams. The container's standard input is connected only with ``stdin``. To
        receive the container's output from its beginning, callers call this method before ``start``.
        """

    def stop(self, reference: str, timeout: int | None = None, signal: str = "") -> bool:
        """Stop a container with a signal, then with SIGKILL after ``timeout`` seconds.

        Return False, without effect, if the container neither runs nor waits for an automatic restart.

        If ``signal`` is "", the container's stop signal is sent. If ``timeout`` is None, the stop timeout of the
        container's configuration applies. If the configuration has no stop timeout, 10 seconds apply. If ``timeout`` is
        negative, no SIGKILL is sent.
        """

    def restart(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop a container as `stop` does, with the same ``timeout`` and ``signal``; then start it."""

    def kill(self, reference: str, signal: str = "") -> None:
        """Send a signal (by default SIGKILL) to a container's process; raises Conflict if the container does not run.

        If the container waits for an automatic restart, it is stopped, and no signal is sent.
        """

    def remove(self, reference: str, *, force: bool = False) -> None:
        """Remove a container. A running container is removed only if ``force`` is set."""

    def remove_each(self, references: Sequence[str], *, force: bool = False) -> Iterator[EngineError | None]:
        """Remove several containers together; ``force`` has the same meaning as in `remove`.

        For each reference, in order, yields None after the removal of the container, or the error.
        """

    def rename(self, reference: str, name: str) -> None:
        """Rename a container."""

    def unlink(self, reference: str) -> None:
        """Remove a legacy link; the reference "web/db" means the link ``db`` of the container ``web``."""

    def update(self, reference: str, policy: RestartPolicy | None) -> None:
        """Change a container's restart policy.

        If ``policy`` is None, only checks that the container may be updated, and adds the event "update".
        """

    def wait(self, reference: str, *, condition: str = "not-running") -> int:
        """Wait until a container does not run ("not-running") or is removed ("removed"); return its exit code.

        ``condition`` is one of these two words. With "not-running", the call returns at once if the container does not
        run. To wait for the end of the next run, use `watch_end`.
        """

    def list(
        self, filters: Filters, *, all: bool = False, limit: int = -1, size: bool = False, networks: bool = True
    ) -> Documents:
        """Return the documents of GET /containers/json, newest container first.

        Only running containers are listed, unless ``all``, a ``limit`` above 0 or a ``status`` filter is given. A
        ``limit`` above 0 is the maximum number of documents. With ``size``, the documents contain the disk usage.
        Without ``networks``, NetworkSettings.Networks is empty, which makes the call faster for many containers.
        """

    def inspect(self, reference: str, *, size: bool = False) -> Json:
        """Return the document of GET /containers/{id}/json; with ``size``, it contains the container's disk usage."""

    def gateway_priorities(self, container_ids: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the gateway priorities that are not 0, as {container id: {network name: priority}}."""

    def announce_exec(self, reference: str, request: ExecCreate) -> None:
        """Add the event "exec_create" of a command that `exec` will run later.

        Raises Conflict if the container is not running.
        """

    def exec(self, reference: str, request: ExecCreate, stdio: Stdio) -> int:
        """Run a command in a running container and return the exit code of the command.

        ``stdio`` are the caller's own streams. For a detached command, returns 0 immediately. If the user detaches
        while the command runs, returns `LEFT` (-1) instead of an exit code. Raises Conflict if the container is not
        running. Raises `StartFailure` with exit code 126 if the command cannot be executed.
        """

    def top(self, reference: str, arguments: str = "") -> Json:
        """Return the document of GET /containers/{id}/top; ``arguments`` are options of ps(1), such as "aux"."""

    def exec_pid(self, reference: str, runner: int) -> int:
        """Return the pid of the command that a process runs with `exec` in a container, or 0 if there is none.

        ``runner`` is the pid of the process that called `exec`.
        """

    def current_stats(self, references: Sequence[str]) -> Documents:
        """Return each container's current document of GET /containers/{id}/stats, with zeros in ``precpu_stats``."""

    def stats(self, reference: str, *, once: bool = False, one_shot: bool = False) -> Iterator[Json]:
        """Yield a document of GET /containers/{id}/stats every second; raises NotFound when the container is removed.

        With ``once`` (``stream=false``), yield only one document, after a second, or immediately if the container is
        not running. With ``one_shot``, yield one document immediately.
        """

    def open_streams(self, reference: str, *, stdin: bool) -> ContainerStreams:
        """Connect to a container's standard streams, for a caller that copies the data itself.

        The container's standard input is connected only with ``stdin``.
        """

    def resize(self, reference: str, rows: int, columns: int) -> None:
        """Set the size of a running container's terminal."""

    def watch_end(self, reference: str, *, next_run: bool) -> EndWatch:
        """Return an object with a file descriptor that is readable at the end of a container's run; does not wait.

        If the container has no process, the descriptor is readable at once. With ``next_run``, the descriptor of such a
        container is readable at the end of the next run instead. The caller calls `finalize_exit` afterwards.
        """

    def logs(self, reference: str, options: LogOptions, wait: WaitReadable | None = None) -> Iterator[LogLine]:
        """Return the lines of a container's log.

        With ``options.follow``, the iteration waits for new lines, until the container has ended. ``wait`` is the
        function that waits: it gets file descriptors, and returns those that are readable. It may raise an error to end
        the iteration. None means a function that waits without a limit.
        """

    def prune(self, filters: Filters) -> tuple[Strings, int]:
        """Remove stopped containers; return their ids and the reclaimed space in bytes."""

    def publish(self, reference: str, ports: Sequence[PortSpec]) -> None:
        """Publish additional ports of a container, which may be running or stopped (a hawse extension).

        The ports are also added to the container's configuration, so that a restart publishes them again.
        """

    def unpublish(self, reference: str, ports: Sequence[PortSpec]) -> None:
        """Unpublish ports of a container (a hawse extension).

        An item of ``ports`` may have a host port or a host address. The item then means only the ports that are
        published at this host port or address. Raises NotFound, and changes nothing, if one of the ports is not
        published.
        """

    def exited(self, container_id: str, finished_at: str = "") -> None:
        """Handle the end of a container's process: release its endpoints, and restart or remove the container.

        Addresses and ports are released too. The restart policy and --rm decide about the restart and the removal.

        When the process ends, the supervisor starts a new hawse process, which calls this method. If an automatic
        restart must wait, the supervisor starts a second process after the wait. The second process passes
        ``finished_at``, the end of the last run. The container is restarted only if no other run has ended since.
        """

    def finalize_exit(self, container_id: str) -> None:
        """Release the addresses and ports of a container whose process has ended; with --rm, remove it. Idempotent.

        When a container's process ends, the supervisor starts a hawse process that calls `exited`. `exited` does the
        same work as this method, and also restarts the container according to its policy. A caller that has observed
        the end with `watch_end` calls this method, so that it need not wait for that hawse process.
        """

    def rejoin(self) -> None:
        """Record the end of adopted namespaces; connect namespaces again if their names exist again after a boot.

        When an adopted namespace ends or appears, the agent starts a new hawse process, which calls this method.
        """


class Images(Protocol):
    """The operations of Docker's /images API."""

    def import_archive(self, source: BinaryIO, reference: str) -> str:
        """Import an image from a tar archive; return the image id ``sha256:...``.

        The archive may be the output of ``docker save``, an OCI image layout, or a plain root file system. It may be
        compressed with gzip, bzip2, xz or zstd. If ``reference`` is not "", only the first image of the archive is
        imported, with ``reference`` as its name. The result is the id of the first image.
        """

    def list(self, filters: Filters) -> Documents:
        """Return the documents of GET /images/json."""

    def inspect(self, reference: str) -> Json:
        """Return the document of GET /images/{name}/json."""

    def load(self, source: BinaryIO) -> Sequence[ImageRecord]:
        """Import all images of an archive; return a record of each image.

        A record has only the names that the archive gives the image. The image may have other names on this host.
        Raises InvalidArgument for an archive without a manifest.
        """

    def save(self, references: Sequence[str], target: BinaryIO) -> None:
        """Write an archive of images to ``target``, for `load` and ``docker load``; each image has one layer.

        A name without a tag means all tags of the repository. Nothing is written if an image is missing.
        """

    def tag(self, reference: str, name: str) -> None:
        """Give an image one more name. If another image has the name, the name is removed from that image."""

    def prune(self, filters: Filters) -> tuple[Documents, int]:
        """Remove unused images; return the removed objects, and the size of the removed images in bytes.

        The removed objects are listed as in the result of `remove`.
        """

    def can_pull(self) -> bool:
        """Return whether this host has the program skopeo, which `pull` needs."""

    def pull(self, reference: str, platform: str = "", auth: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Download an image from a registry with skopeo; yield the messages of POST /images/create.

        ``platform`` is ``[os/]architecture[/variant]`` or "" for this host's. ``auth`` is the content of a docker
        ``config.json`` with the registry's credentials. If the caller closes the iterator, the download ends.
        """

    def remove(self, reference: str, *, force: bool = False) -> Documents:
        """Remove an image or one of its tags.

        With ``force``, the image is removed even if it has several names, or if a container uses it. An image of a
        running container is never removed by its id. Returns entries {"Untagged": ...} and {"Deleted": ...} in Docker's
        order.
        """


class System(Protocol):
    """The operations on this host as a whole, such as Docker's /version, /info and /events.

    Some operations exist only in hawse. They check the store, trace a path, and restore or end the containers.
    """

    def version(self) -> Json:
        """Return the document of Docker's /version, with the versions of hawse and of this host."""

    def check(self, *, repair: bool = False) -> CheckReport:
        """Check the store, and find hawse's objects in the kernel that have no record in the store.

        With ``repair``, a damaged store is replaced by a repaired one, and the old file is kept.
        """

    def info(self) -> Json:
        """Return Docker's /info document, reduced to the fields that apply to hawse."""

    def trace(self, source: str, target: str, *, dry: bool = False) -> Json:
        """Find out whether ``source`` can reach ``target``, and if not, the cause; changes nothing (a hawse extension).

        ``source`` is a container, ``host``, ``outside[:IFACE]``, ``netns:NAME`` or ``pid:N``. With ``dry``, no probe is
        sent. The result has these keys:

        - ``reachable``: True, False, or None if it is unknown
        - ``hops``: the places that a packet passes, in order
        - ``culprit``: the cause of the failure, or None; if ``reachable`` is True, it is only a warning
        """

    def answer(self, question: str) -> str:
        """Answer a question of another host's ``hawse trace``: examine this host's side of the path; changes nothing.

        This is a hawse extension. The question and the answer are JSON texts. If the examination takes more than a few
        seconds, the kernel kills this process. Returns "" in two cases:

        - This host does not have the question's overlay network.
        - The question's source is no endpoint of the asking host on this network.
        """

    def swarm_state(self) -> str:
        """Return "inactive", "active/manager" or "active/worker" from this host's own files, without a request."""

    def events(self, options: EventOptions, client: int = -1, output: int = -1) -> EventStream:
        """Return the events since ``options.since`` (default: now); `engine.events.stream` renders them as JSON.

        Without ``options.until``, or if this time is in the future, the stream waits for new events. It watches the
        store: no resident process is needed, and events of all processes appear. The store keeps about the last
        `EVENTS_KEPT` events. Raises InvalidArgument with Docker's text if ``until`` is before ``since``.

        ``client`` is the file descriptor of the connection to a client, or -1. The stream also ends when the client has
        closed this connection. ``output`` is the file descriptor to which the caller writes the events, or -1. The
        stream raises BrokenPipeError when no process reads ``output`` any more.
        """

    def boot(self, timeout: float) -> BootReport:
        """Restore networks, containers and adopted namespaces after a boot of the host; idempotent.

        On a cluster host, waits up to ``timeout`` seconds until the etcd store answers.
        """

    def shut_down(self) -> tuple[int, list[str]]:
        """End the processes of all containers because the host shuts down; return how many ended, and the failures.

        Each failure is one line of text. `boot` starts the containers again by their restart policies, after the next
        boot or after a cancelled shutdown.
        """


class Swarm(Protocol):
    """The operations of Docker's /swarm and /nodes API."""

    def init(self, request: SwarmInit) -> str:
        """Create a cluster with this host as its first manager; return the node id of this host."""

    def join(self, request: SwarmJoin) -> str:
        """Join a cluster; return the role that this host got from its join token: worker or manager."""

    def leave(self, *, force: bool = False) -> None:
        """Leave the cluster; a manager leaves only with ``force``."""

    def join_token(self, role: str, *, rotate: bool = False) -> tuple[str, str]:
        """Return the token for joining the cluster in a role, and the ``address:port`` of a manager that accepts joins.

        If ``rotate`` is set, a new join token replaces the present join token first.
        """

    def nodes(self, filters: Filters) -> Documents:
        """Return the documents of the cluster nodes that match the filters."""

    def inspect_node(self, reference: str) -> Json:
        """Return the document of one node, found by id, id prefix, host name or ``self``."""

    def remove_node(self, reference: str, *, force: bool = False) -> None:
        """Remove a node and all its records from the cluster; raises Forbidden in these cases:

        - The node is a worker, is not down, and ``force`` is not set.
        - The node is a manager that is not down.
        - The node is a manager, and ``force`` is not set.
        """

    def node_id(self) -> str:
        """Return the node id of this host."""


class Diagnostics(Protocol):
    """hawse's own operations that explain the state of this host's networks."""

    def doctor(self, *, fix: bool = False) -> Diagnosis:
        """Check everything on this host; with ``fix``, also repair hawse's own objects."""

    def verify(self, reference: str, *, fix: bool = False) -> Strings:
        """Compare the kernel objects of one network with the records; return one line for each difference.

        If ``fix`` is set, the differences are also repaired.
        """

    def map(self, references: Sequence[str]) -> Json:
        """Return the networks with their containers, addresses, names and ports.

        Without references, return the networks that are in use or that the user created.
        """


class Engine(Protocol):
    """The engine of one host, with one property for each group of operations.

    ``engine.core.open_engine()`` creates the engine for the directories that the environment variables HAWSE_ROOT and
    HAWSE_RUN name.
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
        """The operations on this host as a whole, such as Docker's /version and /info."""

    @property
    def diagnostics(self) -> Diagnostics:
        """hawse's own operations that explain the state of this host's networks."""
