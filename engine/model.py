"""The engine's records and requests: frozen values, no behaviour beyond derivation.

Requests mirror the bodies of Docker's Engine API (v1.45), so what the command line hands over is what `docker` would
send. Records are what the store keeps. Configuration (what the user asked) and operational state (what the kernel has)
are separate fields: a failed start never changes the former. Addresses in requests are the user's strings; in records
they are strings in canonical form, so that a record is plain JSON.

Annotations are types here and not texts (no ``annotations`` of the future), because every command would have to
evaluate them before it can read a record (`engine.store.codec`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# ---------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class IPAMConfig:
    """One entry of a network's IPAM.Config as the user gave it; empty strings mean "not given"."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkCreate:
    """POST /networks/create."""

    name: str
    driver: str = "bridge"
    scope: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool = False
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    ipam_config: Sequence[IPAMConfig] = ()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointIPAM:
    """EndpointSettings.IPAMConfig: addresses the user wants, as given."""

    ipv4: str = ""
    ipv6: str = ""
    link_local: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """EndpointSettings of the Engine API: what one container wants of one network.

    ``None`` and empty differ, because Docker's inspect shows them apart (``null`` against ``[]`` and ``{}``).
    ``default_route`` is hawse's own: "yes" (before that of others), "no", or "" (where there is no other).
    """

    ipam: EndpointIPAM | None = None
    links: Sequence[str] | None = None
    aliases: Sequence[str] | None = None
    driver_opts: Mapping[str, str] | None = None
    mac_address: str = ""
    gw_priority: int = 0
    default_route: str = ""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One ``-p`` after the command line's parsing; of a range the entries that Docker's PortBindings has, together.

    ``host_port`` is "" (any), "8080" or "8000-8010": for one container port the first free of these; for container
    ports up to ``port_end`` (0: ``port`` alone) a range of the same length, port by port. ``host_ip`` is "" or typed.
    """

    protocol: str
    port: int
    host_ip: str = ""
    host_port: str = ""
    port_end: int = 0

    @property
    def ports(self) -> range:
        """All its container ports."""
        return range(self.port, (self.port_end or self.port) + 1)

    @property
    def host_ports(self) -> range:
        """The host ports it names; empty where any will do."""
        first, _, last = self.host_port.partition("-")
        return range(int(first), int(last or first) + 1) if self.host_port not in ("", "0") else range(0)


@dataclass(frozen=True, slots=True)
class Mount:
    """A bind mount: ``-v source:target[:ro]``."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """HostConfig.RestartPolicy; ``name`` is no, on-failure, always or unless-stopped."""

    name: str = "no"
    maximum_retry_count: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """The ``Config`` part of POST /containers/create. ``cmd`` and ``entrypoint`` are None where not given."""

    image: str
    cmd: Sequence[str] | None = None
    entrypoint: Sequence[str] | None = None
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: Sequence[str] | None = None
    working_dir: str = ""
    mac_address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: Sequence[str] = ()  # "80/tcp", "8000-8010/udp"
    stop_signal: str = ""
    stop_timeout: int | None = None


@dataclass(frozen=True, slots=True)
class HostConfig:
    """The ``HostConfig`` part of POST /containers/create, as far as networking and hawse's containers need it."""

    network_mode: str = "default"
    binds: Sequence[str] | None = None
    port_bindings: Sequence[PortSpec] = ()
    publish_all_ports: bool = False
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    cap_add: Sequence[str] | None = None
    cap_drop: Sequence[str] | None = None
    dns: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    dns_search: Sequence[str] = ()
    extra_hosts: Sequence[str] | None = None
    links: Sequence[str] | None = None
    pid_mode: str = ""
    privileged: bool = False
    readonly_rootfs: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    container_id_file: str = ""
    init: bool | None = None  # None where the flag was not given
    security_opt: Sequence[str] | None = None
    system_paths: bool = False  # no path of the kernel is hidden or read-only
    console_size: tuple[int, int] = (0, 0)
    log_driver: str = ""  # in a request the daemon's default, in a record json-file
    log_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerCreate:
    """POST /containers/create. ``networks`` maps a network's name, as typed, to its settings, in the order given."""

    config: ContainerConfig
    host: HostConfig = HostConfig()
    networks: Mapping[str, EndpointSettings] = field(default_factory=dict)
    name: str = ""  # "" lets the engine make one up (adjective_surname)


@dataclass(frozen=True, slots=True)
class ExecCreate:
    """POST /containers/{id}/exec and its start."""

    cmd: Sequence[str]
    env: Sequence[str] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    detach: bool = False
    attach_stdin: bool = False
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class LogOptions:
    """GET /containers/{id}/logs. ``since``/``until`` are Unix seconds, None where not given; ``tail`` -1 is all."""

    follow: bool = False
    tail: int = -1
    since: float | None = None
    until: float | None = None


Filters = Mapping[str, Sequence[str]]
"""Filter key to its values in the order given, keys already trimmed and lower-cased by the command line."""

# ---------------------------------------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """One subnet of a network as allocated. ``gateway`` is the address without prefix, "" where there is none.

    ``gateway_shown`` says whether inspect prints it (Docker hides an automatic gateway of a user-given subnet).
    """

    subnet: str
    ip_range: str = ""
    gateway: str = ""
    gateway_shown: bool = True
    aux_addresses: Mapping[str, str] = field(default_factory=dict)
    automatic: bool = False  # taken from the default pools
    unused: bool = False  # listed, but no address comes from it (a v6 subnet without --ipv6)
    subnet_typed: str = ""  # the user's own spelling of the subnet, where it is another
    gateway_typed: str = ""  # and of the gateway


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """A network. ``phase`` is creating, live or removing; ``owner`` names the process that works on it."""

    id: str
    name: str
    created: str  # RFC 3339 with nanoseconds, as Docker prints it
    driver: str
    scope: str = "local"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    pools: Sequence[PoolRecord] = ()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    options: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    host_options: Mapping[str, str] | None = None  # for the driver only: this host's part of a cluster's network
    predefined: bool = False
    phase: str = "live"
    owner: str = ""


class NetworkSummary(NamedTuple):
    """What a listing tells of a network: these fields of its record. A tuple, because there may be very many."""

    id: str
    name: str
    driver: str
    scope: str
    predefined: bool


@dataclass(frozen=True, slots=True)
class PortRecord:
    """One published port range of an endpoint, as allocated (see drivers.api.PortBinding for the fields)."""

    protocol: str
    host_ip: str
    host_port: int
    host_port_end: int
    port: int
    port_end: int


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """An endpoint as allocated: exists from reservation to release. ``phase`` is reserved, live or leaving."""

    id: str
    network_id: str
    container_id: str
    mac: str
    ipv4: str = ""  # "172.18.0.2/16"
    ipv6: str = ""
    link_local: Sequence[str] = ()
    interface: str = ""
    gateway4: str = ""
    gateway6: str = ""
    on_link: bool = False  # a way out without a gateway
    default_route: str = ""  # as in the settings with which it was made
    names: Sequence[str] = ()  # DNS names on this network, container name first
    ports: Sequence[PortRecord] = ()
    phase: str = "reserved"
    owner: str = ""
    granted: bool = False  # by the cluster, with its addresses


@dataclass(frozen=True, slots=True)
class NetworkAttachment:
    """A container's configuration for one network; ``network_id`` is "" until the container first starts on it."""

    network: str  # the name (or id) as the user gave it; key of NetworkSettings.Networks
    settings: EndpointSettings
    network_id: str = ""
    named: bool = False  # connected to when there was such a network, so that the container has names there


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """What a person names: a sandbox plus, optionally, the process that hawse runs in it.

    ``kind`` is "process", or "adopted" for a namespace that hawse did not make. ``sandbox_path`` opens the network
    namespace while the container runs, ``sandbox_inode`` tells it from another one that the path may lead to later;
    ``pid`` and ``pid_start`` (clock ticks since boot, /proc/PID/stat field 22) together name the process, so that a
    reused pid is noticed.
    """

    id: str
    name: str
    created: str
    config: ContainerConfig
    host: HostConfig
    attachments: Sequence[NetworkAttachment] = ()
    image_id: str = ""
    path: str = ""
    args: Sequence[str] = ()
    kind: str = "process"
    # operational state
    status: str = "created"  # created, running, restarting, exited, removing, dead
    sandbox_id: str = ""
    sandbox_path: str = ""
    sandbox_inode: int = 0
    pid: int = 0
    pid_start: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = "0001-01-01T00:00:00Z"
    finished_at: str = "0001-01-01T00:00:00Z"
    restart_count: int = 0
    stopped_by_user: bool = False
    next_interface: int = 0
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An imported root file system; ``rootfs`` is the unpacked directory, config values come from the archive."""

    id: str  # sha256:<64 hex>
    references: Sequence[str]  # "name:tag"
    created: str
    size: int  # bytes
    rootfs: str
    cmd: Sequence[str] | None = None
    entrypoint: Sequence[str] | None = None
    env: Sequence[str] = ()
    working_dir: str = ""
    user: str = ""
    exposed_ports: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    verified: bool = False  # whether the files were compared with the digests in the configuration
