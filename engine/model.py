"""The engine's records and requests, as immutable values.

Requests have the form of the bodies of Docker's Engine API (v1.45): the command line passes to the engine what `docker`
would send to dockerd. Records are the values that the store keeps.

Configuration (requested by the user) and operational state (present in the kernel) are separate fields. A failed start
of a container never changes the container's configuration. In requests, addresses are the strings that the user typed.
In records, addresses are strings in canonical form, so that a record can be written as JSON.

This module does not use ``from __future__ import annotations``, which turns annotations into strings. Every command
would have to evaluate these strings before reading a record (`engine.store.codec`).
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from drivers.scalars import socket_text

LINK_MAC_CHARACTERS = len("02:42:ac:11:00:02")

# ---------------------------------------------------------------------------------------------- requests


class IPAMConfig(Struct, frozen=True, omit_defaults=True):
    """One entry of a network's IPAM.Config, as the user gave it; an empty string means "not given".

    ``aux_addresses`` maps the name of each auxiliary address to the address.
    """

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)


class NetworkCreate(Struct, frozen=True):
    """The body of POST /networks/create.

    ``enable_ipv4`` is None if the user did not choose. ``config_from`` is the name of the network that has the
    configuration (--config-from), or "". ``options`` are the driver's options.
    """

    name: str
    driver: str = "bridge"
    scope: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool = False
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = field(default_factory=dict)
    ipam_config: Sequence[IPAMConfig] = ()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


class EndpointIPAM(Struct, frozen=True, omit_defaults=True):
    """EndpointSettings.IPAMConfig: the addresses that the user requested for an endpoint, as typed; "" for none."""

    ipv4: str = ""
    ipv6: str = ""
    link_local: tuple[str, ...] = ()


class EndpointSettings(Struct, frozen=True, omit_defaults=True):
    """EndpointSettings of the Engine API: the requested settings of one container on one network.

    None and an empty value are different: Docker's inspect shows ``null`` for None, and ``[]`` or ``{}`` for an empty
    value.

    ``default_route`` is a hawse extension. With "yes", the endpoint's default route takes precedence over all other
    default routes, including those of other programs. With "no", the endpoint adds no default route. With "", the
    endpoint's default route is used if the sandbox has no other default route.
    """

    ipam: EndpointIPAM | None = None
    links: tuple[str, ...] | None = None
    aliases: tuple[str, ...] | None = None
    driver_opts: Mapping[str, str] | None = None
    mac_address: str = ""
    gw_priority: int = 0
    default_route: str = ""


class Adoption(Struct, frozen=True):
    """The user's settings when a namespace that hawse did not create joins a network.

    - ``name``: the container name, or "" for the default name
    - ``restart``: "" or "unless-stopped" to connect the namespace again after a boot, "no" to leave it unconnected
    - ``force``: allow the namespace of PID 1, which is the network namespace of a host
    """

    name: str = ""
    restart: str = ""
    force: bool = False


class PortSpec(Struct, frozen=True, omit_defaults=True):
    """The value of one parsed ``-p`` flag.

    One PortSpec may describe a port range. Docker's PortBindings would have one entry for each port of the range. The
    container ports are ``port`` to ``port_end``; if ``port_end`` is 0, ``port`` is the only container port.

    ``host_port`` is one of these:

    - "" or "0": hawse chooses any free host port
    - a port such as "8080"
    - a range such as "8000-8010": a single container port gets the first free host port of the range. Several container
      ports need a range of the same length. The first container port then gets the first host port, and so on.

    ``host_ip`` is "", or the address as the user typed it.
    """

    protocol: str
    port: int
    host_ip: str = ""
    host_port: str = ""
    port_end: int = 0

    @property
    def ports(self) -> range:
        """The container ports."""
        return range(self.port, (self.port_end or self.port) + 1)

    @property
    def host_ports(self) -> range:
        """The host ports that the user gave, or an empty range if hawse may choose any port."""
        first, _, last = self.host_port.partition("-")
        return range(int(first), int(last or first) + 1) if self.host_port not in ("", "0") else range(0)

    @property
    def is_fixed(self) -> bool:
        """True if hawse has no choice of host ports: there are as many host ports as container ports."""
        return len(self.host_ports) == len(self.ports)

    @property
    def choices(self) -> float:
        """The number of host ports among which hawse chooses for one container port.

        The number is infinite if the user gave no host port. hawse allocates the ports with the fewest choices first.
        """
        return 1 if self.is_fixed else len(self.host_ports) or float("inf")


class Mount(Struct, frozen=True):
    """A bind mount: ``-v source:target[:ro]``."""

    source: str
    target: str
    read_only: bool = False


class RestartPolicy(Struct, frozen=True, omit_defaults=True):
    """HostConfig.RestartPolicy; ``name`` is "no", "on-failure", "always" or "unless-stopped".

    ``maximum_retry_count`` is for "on-failure"; 0 means no limit.
    """

    name: str = "no"
    maximum_retry_count: int = 0


class ContainerConfig(Struct, frozen=True, omit_defaults=True):
    """The part ``Config`` of POST /containers/create; ``cmd`` and ``entrypoint`` are None if the user gave none.

    - ``exposed_keys``: maps an entry of ``exposed_ports`` to the key that the API's client sent in ExposedPorts. Has
      only entries whose key has another form or is a range. As in Docker, documents show the client's key.
    - ``stop_timeout``: in seconds
    - ``no_healthcheck``: if true, Docker would run no health check of the image
    """

    image: str
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: tuple[str, ...] | None = None
    working_dir: str = ""
    mac_address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()  # for example "80/tcp", "8000-8010/udp"
    exposed_keys: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    no_healthcheck: bool = False


class HostConfig(Struct, frozen=True, omit_defaults=True):
    """The ``HostConfig`` part of POST /containers/create, reduced to the fields that hawse uses.

    - ``empty_bindings``: the entries of PortBindings without a binding. A key is a container port such as "80/tcp". The
      value is None for null, and () for an empty list.
    - ``console_size``: rows and columns of the terminal
    """

    network_mode: str = "default"
    binds: tuple[str, ...] | None = None
    port_bindings: tuple[PortSpec, ...] = ()
    empty_bindings: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    publish_all_ports: bool = False
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    cap_add: tuple[str, ...] | None = None
    cap_drop: tuple[str, ...] | None = None
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] | None = None
    links: tuple[str, ...] | None = None
    pid_mode: str = ""
    privileged: bool = False
    readonly_rootfs: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    container_id_file: str = ""
    init: bool | None = None  # None if the user did not give --init
    security_opt: tuple[str, ...] | None = None
    system_paths: bool = False  # if true, Docker's lists of hidden and read-only kernel paths are not applied
    console_size: tuple[int, int] = (0, 0)
    log_driver: str = ""  # "" means the configured default in a request, and json-file in a record
    log_options: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()  # entries of Docker's Mounts as JSON; ``binds`` ends with these mounts too
    null_fields: tuple[str, ...] = ()  # keys that a client of the API did not send, and that Docker shows as null
    empty_fields: tuple[str, ...] = ()  # keys that a client of the API sent as [], and that Docker shows as []


class ContainerCreate(Struct, frozen=True):
    """The body of POST /containers/create.

    ``networks`` maps the name of each network, as the user typed it, to the settings for that network. The order is
    that of the command line. ``mounts`` are the entries of ``host.binds`` whose sources must exist, as Docker requires
    for ``--mount``.
    """

    config: ContainerConfig
    host: HostConfig = HostConfig()
    networks: Mapping[str, EndpointSettings] = field(default_factory=dict)
    name: str = ""  # if "", the engine generates a name such as "eager_hopper"
    platform: str = ""  # the platform that the image must have: [os/]architecture[/variant]; "" means any platform
    mounts: Sequence[str] = ()


class ExecCreate(Struct, frozen=True):
    """The bodies of POST /containers/{id}/exec and POST /exec/{id}/start, in one object.

    ``exec_id`` is the id of the command in the events; if it is "", a new id is generated. With ``detach_keys``, the
    user of a terminal leaves the command by typing ctrl-p ctrl-q.
    """

    cmd: Sequence[str]
    env: Sequence[str] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    detach: bool = False
    attach_stdin: bool = False
    privileged: bool = False
    exec_id: str = ""
    detach_keys: bool = True


class LogOptions(Struct, frozen=True):
    """The options of GET /containers/{id}/logs.

    ``since`` and ``until`` are Unix times in seconds, or None if not given. A ``tail`` of -1 means all lines.
    """

    follow: bool = False
    tail: int = -1
    since: float | None = None
    until: float | None = None


Filters = Mapping[str, Sequence[str]]
"""The values of each filter key, in the order of the command line. The command line has already trimmed the keys and
converted them to lower case.
"""

# ---------------------------------------------------------------------------------------------- records


DEFAULT_GATEWAYS = {4: "DefaultGatewayIPv4", 6: "DefaultGatewayIPv6"}
"""By IP version, the name of the auxiliary address that is the next hop of the default route in containers on a bridge
network.
"""


class PoolRecord(Struct, frozen=True, omit_defaults=True):
    """One allocated subnet of a network.

    ``gateway`` is an address without prefix length, or "" if the subnet has no gateway. If ``gateway_shown`` is false,
    inspect does not print the gateway. As in Docker, an automatic gateway is hidden if the user gave the subnet.
    """

    subnet: str
    ip_range: str = ""
    gateway: str = ""
    gateway_shown: bool = True
    aux_addresses: Mapping[str, str] = field(default_factory=dict)
    automatic: bool = False  # true if the subnet was allocated from the default pools
    unused: bool = False  # true if only inspect shows the subnet (an IPv6 subnet without --ipv6)
    subnet_typed: str = ""  # the subnet as typed by the user; "" if automatic or equal to ``subnet``
    gateway_typed: str = ""  # the gateway as typed by the user; "" if automatic or equal to ``gateway``


class NetworkRecord(Struct, frozen=True, omit_defaults=True):
    """A network. ``phase`` is one of these:

    - "planned": the network has no kernel objects yet; they are created before the first use
    - "creating": a command creates the kernel objects
    - "live": the kernel objects exist
    - "removing": a command removes the network

    ``owner`` is the process that is creating or removing the network, as "pid:start time", or "". ``host_options`` are
    the driver options of a cluster network that apply only on this host. ``config_from`` is the name of the network
    from which the configuration was copied (--config-from), or "".
    """

    id: str
    name: str
    created: str  # RFC 3339 with nanoseconds, as Docker prints it
    driver: str
    scope: str = "local"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    pools: tuple[PoolRecord, ...] = ()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    options: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    host_options: Mapping[str, str] | None = None
    predefined: bool = False
    phase: str = "live"
    owner: str = ""


class NetworkSummary(Struct, frozen=True):
    """The fields of a network that ``network ls`` shows."""

    id: str
    name: str
    driver: str
    scope: str
    predefined: bool


class PortRecord(Struct, frozen=True, omit_defaults=True):
    """One published range of host ports, and the range of container ports, which has the same length.

    The container ports are ``port`` to ``port_end``. Each range includes its last port. The host addresses ``0.0.0.0``
    and ``::`` mean every address of this host in the address family. ``host_port`` and ``host_port_end`` are 0 if the
    network's gateway mode uses no host port for this address family; clients then send to the container's own address.
    """

    protocol: str
    host_ip: str
    host_port: int
    host_port_end: int
    port: int
    port_end: int

    def host_socket(self, port: int) -> str:
        """Return the host address and the host port that lead to the container port ``port``, such as "[::]:8080".

        ``port`` is one of this record's container ports. The record must have host ports.
        """
        return socket_text(self.host_ip, self.host_port + port - self.port)


FORMER = "former"
"""The phase of an endpoint whose sandbox was lost by a reboot or a killed start. It exists only in the store.

The endpoint keeps its addresses and ports for the next run of its container.
"""


class EndpointRecord(Struct, frozen=True, omit_defaults=True):
    """An endpoint. The record is made when the endpoint is reserved. ``phase`` is one of these:

    - "reserved": a command creates the endpoint in its sandbox
    - "live": the endpoint is in its sandbox
    - "leaving": a command removes the endpoint from its sandbox
    - `FORMER`: the endpoint has left its sandbox, but keeps its addresses and ports

    The record is deleted when the endpoint is released.

    ``ipv4`` and ``ipv6`` have a prefix length, ``gateway4`` and ``gateway6`` have none; "" means no address.
    ``interface`` is the interface's name in the sandbox.
    """

    id: str
    network_id: str
    container_id: str
    mac: str
    ipv4: str = ""  # address with prefix length, for example "172.18.0.2/16"
    ipv6: str = ""
    link_local: tuple[str, ...] = ()
    interface: str = ""
    gateway4: str = ""
    gateway6: str = ""
    on_link: bool = False  # true if the endpoint's default route has no gateway address
    default_route: str = ""  # the value of `EndpointSettings.default_route` when the endpoint was reserved
    names: tuple[str, ...] = ()  # DNS names on this network, container name first
    ports: tuple[PortRecord, ...] = ()
    phase: str = "reserved"
    granted: bool = False  # true if the cluster has reserved the endpoint's addresses

    @property
    def link_mac(self) -> str:
        """The MAC of the endpoint's interface: the first six bytes of ``mac``, which may have 8 or 20 bytes."""
        return self.mac[:LINK_MAC_CHARACTERS]


def live_by_container(endpoints: Iterable[EndpointRecord]) -> dict[str, list[EndpointRecord]]:
    """Return the endpoints in the phase "live", grouped by container id."""
    grouped: dict[str, list[EndpointRecord]] = {}
    for endpoint in endpoints:
        if endpoint.phase == "live":
            grouped.setdefault(endpoint.container_id, []).append(endpoint)
    return grouped


class NetworkAttachment(Struct, frozen=True, omit_defaults=True):
    """A container's configuration for one network.

    - ``network``: the network's name or id as the user typed it; the key in NetworkSettings.Networks
    - ``network_id``: "" until the container is started on the network for the first time
    - ``named``: True if the network existed when the container was connected; inspect then shows the container's DNS
      names even before its first start
    """

    network: str
    settings: EndpointSettings
    network_id: str = ""
    named: bool = False


class ContainerRecord(Struct, frozen=True, omit_defaults=True):
    """A container: a sandbox and, optionally, the process that hawse runs in it.

    - ``kind``: "process", or "adopted" for an adopted namespace, which is a network namespace that hawse did not create
    - ``path`` and ``args``: the command and its arguments
    - ``sandbox_path``: the file that opens the network namespace while the container runs
    - ``sandbox_inode``: identifies the namespace, because the path may later open another namespace
    - ``pid`` and ``pid_start`` (clock ticks since boot, /proc/PID/stat field 22): together identify the process, so
      that a reused pid is detected
    - ``administered``: True if a command with all capabilities was run in the container (exec --privileged). Such a
      command can make firewall rules in the sandbox.
    - ``next_interfaces``: the number of the next interface for each name prefix, such as {"eth": 2}
    """

    id: str
    name: str
    created: str
    config: ContainerConfig
    host: HostConfig
    attachments: tuple[NetworkAttachment, ...] = ()
    image_id: str = ""
    path: str = ""
    args: tuple[str, ...] = ()
    kind: str = "process"
    # The configuration fields end here. The fields below are operational state.
    status: str = "created"  # created, running, restarting, exited, removing, dead
    sandbox_id: str = ""
    sandbox_path: str = ""
    sandbox_inode: int = 0
    pid: int = 0
    pid_start: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: str = "0001-01-01T00:00:00Z"
    finished_at: str = "0001-01-01T00:00:00Z"
    restart_count: int = 0
    stopped_by_user: bool = False
    administered: bool = False
    next_interfaces: Mapping[str, int] = field(default_factory=dict)  # see `engine.names.interface_numbers`
    next_interface: int = 0  # only in older records: the number of the next interface, for all prefixes


class ImageRecord(Struct, frozen=True, omit_defaults=True):
    """An imported root file system.

    ``rootfs`` is the directory with the unpacked files. The configuration fields come from the image archive.
    """

    id: str  # sha256:<64 hex>
    references: tuple[str, ...]  # each reference is "name:tag"
    created: str
    size: int  # size in bytes
    rootfs: str
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    verified: bool = False  # true if the unpacked files match the digests in the image's configuration
    digests: tuple[str, ...] = ()  # each item is "name@sha256:<64 hex>": the name and manifest digest of a pull


class Event(Struct, frozen=True):
    """An event on this host, with the fields of Docker's events.Message.

    ``type`` is the type of the object, and ``actor`` its full id. ``action`` is what happened to the object. ``time``
    is in nanoseconds since 1970. ``number`` grows with each event of a store, and is 0 before the event is stored.
    """

    type: str  # container, network, image, daemon or node
    action: str  # such as "start", or "exec_create: ls /"
    actor: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    scope: str = "local"  # or "swarm"
    time: int = 0
    number: int = 0


class EventOptions(Struct, frozen=True):
    """The options of GET /events. The times are in nanoseconds since 1970, or None if not given.

    As in Docker, the time 0 as ``until`` excludes no event: all past events are sent, and the stream ends.
    """

    since: int | None = None
    until: int | None = None
    filters: Filters = field(default_factory=dict)


class BootReport(Struct, frozen=True):
    """The result of the restoration after a boot: the numbers of restored objects, and what could not be restored.

    - ``namespaces``: the number of adopted namespaces
    - ``absent``: the container names of adopted namespaces that do not exist yet
    - ``problems``: one line for each failure
    """

    networks: int
    containers: int
    namespaces: int
    absent: Sequence[str] = ()
    problems: Sequence[str] = ()
