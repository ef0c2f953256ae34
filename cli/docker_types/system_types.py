"""The Go types that Docker's client 26.1.5 uses for the documents of ``version``, ``info``, ``events`` and contexts.

The type of the swarm's cluster has only the fields that hawse writes.
"""

from __future__ import annotations

from cli.docker_types.mode_types import ISOLATION
from cli.docker_types.network_types import TEXTS
from cli.docker_types.node_types import TLS, VERSION
from cli.docker_types.schema import embedded, named, optional, struct
from cli.gotemplate.gotypes import (
    ANY,
    BOOL,
    INT,
    INT64,
    STRING,
    STRINGS,
    array_of,
    basic,
    map_of,
    pointer_to,
    slice_of,
)
from cli.gotemplate.timetypes import TIME

UINT32 = basic("uint32")
STATUS_PAIRS = slice_of(array_of(2, STRING))

# Types for ``version``.
PLATFORM_INFO = struct("system.platformInfo", Name=optional(STRING))
CLIENT_VERSION = struct(
    "system.clientVersion",
    Platform=optional(pointer_to(PLATFORM_INFO)),
    Version=optional(STRING),
    APIVersion=optional(STRING, "ApiVersion"),
    DefaultAPIVersion=optional(STRING),
    GitCommit=optional(STRING),
    GoVersion=optional(STRING),
    Os=optional(STRING),
    Arch=optional(STRING),
    BuildTime=optional(STRING),
    Context=optional(STRING),
)
COMPONENT = struct("types.ComponentVersion", Name=STRING, Version=STRING, Details=optional(TEXTS))
SERVER_VERSION = struct(
    "types.Version",
    Platform=optional(struct("struct { Name string }", Name=STRING)),
    Components=optional(slice_of(COMPONENT)),
    Version=STRING,
    APIVersion=named(STRING, "ApiVersion"),
    MinAPIVersion=optional(STRING),
    GitCommit=STRING,
    GoVersion=STRING,
    Os=STRING,
    Arch=STRING,
    KernelVersion=optional(STRING),
    Experimental=optional(BOOL),
    BuildTime=optional(STRING),
)
VERSION_INFO = struct("system.versionInfo", Client=CLIENT_VERSION, Server=pointer_to(SERVER_VERSION))

# Types for ``info``.
PLUGINS_INFO = struct("system.PluginsInfo", Volume=STRINGS, Network=STRINGS, Authorization=STRINGS, Log=STRINGS)
INDEX_INFO = struct("registry.IndexInfo", Name=STRING, Mirrors=STRINGS, Secure=BOOL, Official=BOOL)
REGISTRY_CONFIG = struct(
    "registry.ServiceConfig",
    AllowNondistributableArtifactsCIDRs=STRINGS,
    AllowNondistributableArtifactsHostnames=STRINGS,
    InsecureRegistryCIDRs=STRINGS,
    IndexConfigs=map_of(STRING, pointer_to(INDEX_INFO)),
    Mirrors=STRINGS,
)
NAMED_RESOURCE = struct("swarm.NamedGenericResource", Kind=optional(STRING), Value=optional(STRING))
DISCRETE_RESOURCE = struct("swarm.DiscreteGenericResource", Kind=optional(STRING), Value=optional(INT64))
GENERIC_RESOURCE = struct(
    "swarm.GenericResource",
    NamedResourceSpec=optional(pointer_to(NAMED_RESOURCE)),
    DiscreteResourceSpec=optional(pointer_to(DISCRETE_RESOURCE)),
)
RUNTIME = struct(
    "system.Runtime",
    Path=optional(STRING, "path"),
    Args=optional(STRINGS, "runtimeArgs"),
    Type=optional(STRING, "runtimeType"),
    Options=optional(map_of(STRING, ANY), "options"),
)
RUNTIME_WITH_STATUS = struct("system.RuntimeWithStatus", Runtime=embedded(RUNTIME), Status=optional(TEXTS, "status"))
COMMIT = struct("system.Commit", ID=STRING, Expected=STRING)
ADDRESS_POOL = struct("system.NetworkAddressPool", Base=STRING, Size=INT)
PEER = struct("swarm.Peer", NodeID=STRING, Addr=STRING)
META = struct("swarm.Meta", Version=optional(VERSION), CreatedAt=optional(TIME), UpdatedAt=optional(TIME))
ANNOTATIONS = struct("swarm.Annotations", Name=optional(STRING), Labels=TEXTS)
CLUSTER_INFO = struct(
    "swarm.ClusterInfo",
    ID=STRING,
    Meta=embedded(META),
    Spec=struct("swarm.Spec", Annotations=embedded(ANNOTATIONS)),
    TLSInfo=TLS,
    RootRotationInProgress=BOOL,
    DefaultAddrPool=STRINGS,
    SubnetSize=UINT32,
    DataPathPort=UINT32,
)
SWARM_INFO = struct(
    "swarm.Info",
    NodeID=STRING,
    NodeAddr=STRING,
    LocalNodeState=basic("string", "swarm.LocalNodeState"),
    ControlAvailable=BOOL,
    Error=STRING,
    RemoteManagers=slice_of(PEER),
    Nodes=optional(INT),
    Managers=optional(INT),
    Cluster=optional(pointer_to(CLUSTER_INFO)),
    Warnings=optional(STRINGS),
)
INFO = struct(
    "system.Info",
    ID=STRING,
    Containers=INT,
    ContainersRunning=INT,
    ContainersPaused=INT,
    ContainersStopped=INT,
    Images=INT,
    Driver=STRING,
    DriverStatus=STATUS_PAIRS,
    SystemStatus=optional(STATUS_PAIRS),
    Plugins=PLUGINS_INFO,
    MemoryLimit=BOOL,
    SwapLimit=BOOL,
    KernelMemory=optional(BOOL),
    KernelMemoryTCP=optional(BOOL),
    CPUCfsPeriod=named(BOOL, "CpuCfsPeriod"),
    CPUCfsQuota=named(BOOL, "CpuCfsQuota"),
    CPUShares=BOOL,
    CPUSet=BOOL,
    PidsLimit=BOOL,
    IPv4Forwarding=BOOL,
    BridgeNfIptables=BOOL,
    BridgeNfIP6tables=named(BOOL, "BridgeNfIp6tables"),
    Debug=BOOL,
    NFd=INT,
    OomKillDisable=BOOL,
    NGoroutines=INT,
    SystemTime=STRING,
    LoggingDriver=STRING,
    CgroupDriver=STRING,
    CgroupVersion=optional(STRING),
    NEventsListener=INT,
    KernelVersion=STRING,
    OperatingSystem=STRING,
    OSVersion=STRING,
    OSType=STRING,
    Architecture=STRING,
    IndexServerAddress=STRING,
    RegistryConfig=pointer_to(REGISTRY_CONFIG),
    NCPU=INT,
    MemTotal=INT64,
    GenericResources=slice_of(GENERIC_RESOURCE),
    DockerRootDir=STRING,
    HTTPProxy=named(STRING, "HttpProxy"),
    HTTPSProxy=named(STRING, "HttpsProxy"),
    NoProxy=STRING,
    Name=STRING,
    Labels=STRINGS,
    ExperimentalBuild=BOOL,
    ServerVersion=STRING,
    Runtimes=map_of(STRING, RUNTIME_WITH_STATUS),
    DefaultRuntime=STRING,
    Swarm=SWARM_INFO,
    LiveRestoreEnabled=BOOL,
    Isolation=ISOLATION,
    InitBinary=STRING,
    ContainerdCommit=COMMIT,
    RuncCommit=COMMIT,
    InitCommit=COMMIT,
    SecurityOptions=STRINGS,
    ProductLicense=optional(STRING),
    DefaultAddressPools=optional(slice_of(ADDRESS_POOL)),
    CDISpecDirs=STRINGS,
    Warnings=STRINGS,
)
PLUGIN = struct(
    "manager.Plugin",
    SchemaVersion=optional(STRING),
    Vendor=optional(STRING),
    Version=optional(STRING),
    ShortDescription=optional(STRING),
    URL=optional(STRING),
    Name=optional(STRING),
    Path=optional(STRING),
    ShadowedPaths=optional(STRINGS),
)
CLIENT_INFO = struct(
    "system.clientInfo",
    Debug=BOOL,
    clientVersion=embedded(CLIENT_VERSION),
    Plugins=slice_of(PLUGIN),
    Warnings=STRINGS,
)
DOCKER_INFO = struct(
    "system.dockerInfo",
    Info=embedded(pointer_to(INFO)),
    ServerErrors=optional(STRINGS),
    UserName=optional(STRING, "-"),
    ClientInfo=optional(pointer_to(CLIENT_INFO)),
    ClientErrors=optional(STRINGS),
)

# Types for ``events``.
ACTOR = struct("events.Actor", ID=STRING, Attributes=TEXTS)
MESSAGE = struct(
    "events.Message",
    Status=optional(STRING, "status"),
    ID=optional(STRING, "id"),
    From=optional(STRING, "from"),
    Type=basic("string", "events.Type"),
    Action=basic("string", "events.Action"),
    Actor=ACTOR,
    Scope=optional(STRING, "scope"),
    Time=optional(INT64, "time"),
    TimeNano=optional(INT64, "timeNano"),
)

# Types for the inspect document of a context.
CONTEXT_ENDPOINT = struct("docker.EndpointMeta", Host=STRING, SkipTLSVerify=BOOL)
CONTEXT = struct(
    "context.contextWithTLSListing",
    Name=STRING,
    Metadata=map_of(STRING, ANY),
    Endpoints=map_of(STRING, CONTEXT_ENDPOINT),
    TLSMaterial=map_of(STRING, slice_of(STRING)),
    Storage=struct("context.storage", MetadataPath=STRING, TLSPath=STRING),
)
