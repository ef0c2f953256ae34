"""The Go types of a container's inspect document (Engine API v1.45, types.ContainerJSON).

The types of HostConfig are in `host_config_types`.
"""

from __future__ import annotations

from functools import partial

from cli.docker_types.host_config_types import HOST_CONFIG, PORT_MAP, STR_SLICE
from cli.docker_types.mode_types import PORT
from cli.docker_types.network_types import TEXTS
from cli.docker_types.schema import embedded, named, optional, struct
from cli.gotemplate.gotypes import BOOL, INT, INT64, STRING, STRINGS, Method, Value, basic, map_of, pointer_to, slice_of
from cli.gotemplate.timetypes import DURATION, TIME

EMPTY = struct("struct {}")
HEALTHCHECK_RESULT = struct("types.HealthcheckResult", Start=TIME, End=TIME, ExitCode=INT, Output=STRING)
HEALTH = struct("types.Health", Status=STRING, FailingStreak=INT, Log=slice_of(pointer_to(HEALTHCHECK_RESULT)))
CONTAINER_STATE = struct(
    "types.ContainerState",
    Status=STRING,
    Running=BOOL,
    Paused=BOOL,
    Restarting=BOOL,
    OOMKilled=BOOL,
    Dead=BOOL,
    Pid=INT,
    ExitCode=INT,
    Error=STRING,
    StartedAt=STRING,
    FinishedAt=STRING,
    Health=optional(pointer_to(HEALTH)),
)
CONTAINER_NODE = struct(
    "types.ContainerNode",
    ID=STRING,
    IPAddress=named(STRING, "IP"),
    Addr=STRING,
    Name=STRING,
    Cpus=INT,
    Memory=INT64,
    Labels=TEXTS,
)
GRAPH_DRIVER_DATA = struct("types.GraphDriverData", Data=TEXTS, Name=STRING)
CONTAINER_BASE = struct(
    "types.ContainerJSONBase",
    ID=named(STRING, "Id"),
    Created=STRING,
    Path=STRING,
    Args=STRINGS,
    State=pointer_to(CONTAINER_STATE),
    Image=STRING,
    ResolvConfPath=STRING,
    HostnamePath=STRING,
    HostsPath=STRING,
    LogPath=STRING,
    Node=optional(pointer_to(CONTAINER_NODE)),
    Name=STRING,
    RestartCount=INT,
    Driver=STRING,
    Platform=STRING,
    MountLabel=STRING,
    ProcessLabel=STRING,
    AppArmorProfile=STRING,
    ExecIDs=STRINGS,
    HostConfig=pointer_to(HOST_CONFIG),
    GraphDriver=GRAPH_DRIVER_DATA,
    SizeRw=optional(pointer_to(INT64)),
    SizeRootFs=optional(pointer_to(INT64)),
)
MOUNT_POINT = struct(
    "types.MountPoint",
    Type=optional(basic("string", "mount.Type")),
    Name=optional(STRING),
    Source=STRING,
    Destination=STRING,
    Driver=optional(STRING),
    Mode=STRING,
    RW=BOOL,
    Propagation=basic("string", "mount.Propagation"),
)
HEALTHCHECK_CONFIG = struct(
    "v1.HealthcheckConfig",
    Test=optional(STRINGS),
    Interval=optional(DURATION),
    Timeout=optional(DURATION),
    StartPeriod=optional(DURATION),
    StartInterval=optional(DURATION),
    Retries=optional(INT),
)
CONFIG = struct(
    "container.Config",
    Hostname=STRING,
    Domainname=STRING,
    User=STRING,
    AttachStdin=BOOL,
    AttachStdout=BOOL,
    AttachStderr=BOOL,
    ExposedPorts=optional(map_of(PORT, EMPTY, "nat.PortSet")),
    Tty=BOOL,
    OpenStdin=BOOL,
    StdinOnce=BOOL,
    Env=STRINGS,
    Cmd=STR_SLICE,
    Healthcheck=optional(pointer_to(HEALTHCHECK_CONFIG)),
    ArgsEscaped=optional(BOOL),
    Image=STRING,
    Volumes=map_of(STRING, EMPTY),
    WorkingDir=STRING,
    Entrypoint=STR_SLICE,
    NetworkDisabled=optional(BOOL),
    MacAddress=optional(STRING),
    OnBuild=STRINGS,
    Labels=TEXTS,
    StopSignal=optional(STRING),
    StopTimeout=optional(pointer_to(INT)),
    Shell=optional(STR_SLICE),
)
ADDRESS = struct("network.Address", Addr=STRING, PrefixLen=INT)
ENDPOINT_IPAM_CONFIG = struct(
    "network.EndpointIPAMConfig",
    IPv4Address=optional(STRING),
    IPv6Address=optional(STRING),
    LinkLocalIPs=optional(STRINGS),
)
ENDPOINT_SETTINGS = struct(
    "network.EndpointSettings",
    IPAMConfig=pointer_to(ENDPOINT_IPAM_CONFIG),
    Links=STRINGS,
    Aliases=STRINGS,
    MacAddress=STRING,
    NetworkID=STRING,
    EndpointID=STRING,
    Gateway=STRING,
    IPAddress=STRING,
    IPPrefixLen=INT,
    IPv6Gateway=STRING,
    GlobalIPv6Address=STRING,
    GlobalIPv6PrefixLen=INT,
    DriverOpts=TEXTS,
    DNSNames=STRINGS,
)
for _copied in (ENDPOINT_IPAM_CONFIG, ENDPOINT_SETTINGS):
    _copied.pointer_methods = {"Copy": Method(partial(Value, pointer_to(_copied)))}
NETWORK_SETTINGS_BASE = struct(
    "types.NetworkSettingsBase",
    Bridge=STRING,
    SandboxID=STRING,
    SandboxKey=STRING,
    Ports=PORT_MAP,
    HairpinMode=BOOL,
    LinkLocalIPv6Address=STRING,
    LinkLocalIPv6PrefixLen=INT,
    SecondaryIPAddresses=slice_of(ADDRESS),
    SecondaryIPv6Addresses=slice_of(ADDRESS),
)
DEFAULT_NETWORK_SETTINGS = struct(
    "types.DefaultNetworkSettings",
    EndpointID=STRING,
    Gateway=STRING,
    GlobalIPv6Address=STRING,
    GlobalIPv6PrefixLen=INT,
    IPAddress=STRING,
    IPPrefixLen=INT,
    IPv6Gateway=STRING,
    MacAddress=STRING,
)
NETWORK_SETTINGS = struct(
    "types.NetworkSettings",
    NetworkSettingsBase=embedded(NETWORK_SETTINGS_BASE),
    DefaultNetworkSettings=embedded(DEFAULT_NETWORK_SETTINGS),
    Networks=map_of(STRING, pointer_to(ENDPOINT_SETTINGS)),
)
CONTAINER_JSON = struct(
    "types.ContainerJSON",
    ContainerJSONBase=embedded(pointer_to(CONTAINER_BASE)),
    Mounts=slice_of(MOUNT_POINT),
    Config=pointer_to(CONFIG),
    NetworkSettings=pointer_to(NETWORK_SETTINGS),
)
