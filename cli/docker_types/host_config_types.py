"""The Go types of HostConfig in a container's inspect document (Engine API v1.45, container.HostConfig)."""

from __future__ import annotations

from cli.docker_types.mode_types import (
    CGROUP_SPEC,
    CGROUPNS_MODE,
    IPC_MODE,
    ISOLATION,
    NETWORK_MODE,
    PID_MODE,
    PORT,
    USERNS_MODE,
    UTS_MODE,
)
from cli.docker_types.network_types import TEXTS
from cli.docker_types.schema import embedded, named, optional, struct
from cli.gotemplate.gotypes import (
    BOOL,
    INT,
    INT64,
    STRING,
    STRINGS,
    UINT,
    UINT16,
    UINT64,
    Method,
    Raw,
    Type,
    array_of,
    basic,
    boolean,
    map_of,
    pointer_to,
    slice_of,
    string,
)

STR_SLICE = slice_of(STRING, "strslice.StrSlice")
PORT_BINDING = struct("nat.PortBinding", HostIP=named(STRING, "HostIp"), HostPort=STRING)
PORT_MAP = map_of(PORT, slice_of(PORT_BINDING), "nat.PortMap")
LOG_CONFIG = struct("container.LogConfig", Type=STRING, Config=TEXTS)
RESTART_POLICY = struct(
    "container.RestartPolicy", Name=basic("string", "container.RestartPolicyMode"), MaximumRetryCount=INT
)


def _policy(*names: bytes) -> Method:
    return Method(lambda raw: boolean(raw[0] in names))


RESTART_POLICY.pointer_methods = {
    "IsNone": _policy(b"no", b""),
    "IsAlways": _policy(b"always"),
    "IsOnFailure": _policy(b"on-failure"),
    "IsUnlessStopped": _policy(b"unless-stopped"),
    "IsSame": Method(lambda raw, other: boolean(raw == other), (pointer_to(RESTART_POLICY),)),
}


def _device(name: str, **fields: Type) -> Type:
    type_ = struct(name, **fields)
    type_.pointer_methods = {"String": Method(lambda raw: string(b"%s:%d" % tuple(raw)))}
    return slice_of(pointer_to(type_))


WEIGHT_DEVICES = _device("blkiodev.WeightDevice", Path=STRING, Weight=UINT16)
THROTTLE_DEVICES = _device("blkiodev.ThrottleDevice", Path=STRING, Rate=UINT64)
ULIMIT = struct("units.Ulimit", Name=STRING, Hard=INT64, Soft=INT64)
ULIMIT.pointer_methods = {"String": Method(lambda raw: string(b"%s=%d:%d" % (raw[0], raw[2], raw[1])))}
DEVICE_MAPPING = struct("container.DeviceMapping", PathOnHost=STRING, PathInContainer=STRING, CgroupPermissions=STRING)
DEVICE_REQUEST = struct(
    "container.DeviceRequest",
    Driver=STRING,
    Count=INT,
    DeviceIDs=STRINGS,
    Capabilities=slice_of(STRINGS),
    Options=TEXTS,
)
RESOURCES = struct(
    "container.Resources",
    CPUShares=named(INT64, "CpuShares"),
    Memory=INT64,
    NanoCPUs=named(INT64, "NanoCpus"),
    CgroupParent=STRING,
    BlkioWeight=UINT16,
    BlkioWeightDevice=WEIGHT_DEVICES,
    BlkioDeviceReadBps=THROTTLE_DEVICES,
    BlkioDeviceWriteBps=THROTTLE_DEVICES,
    BlkioDeviceReadIOps=THROTTLE_DEVICES,
    BlkioDeviceWriteIOps=THROTTLE_DEVICES,
    CPUPeriod=named(INT64, "CpuPeriod"),
    CPUQuota=named(INT64, "CpuQuota"),
    CPURealtimePeriod=named(INT64, "CpuRealtimePeriod"),
    CPURealtimeRuntime=named(INT64, "CpuRealtimeRuntime"),
    CpusetCpus=STRING,
    CpusetMems=STRING,
    Devices=slice_of(DEVICE_MAPPING),
    DeviceCgroupRules=STRINGS,
    DeviceRequests=slice_of(DEVICE_REQUEST),
    KernelMemory=optional(INT64),
    KernelMemoryTCP=optional(INT64),
    MemoryReservation=INT64,
    MemorySwap=INT64,
    MemorySwappiness=pointer_to(INT64),
    OomKillDisable=pointer_to(BOOL),
    PidsLimit=pointer_to(INT64),
    Ulimits=slice_of(pointer_to(ULIMIT)),
    CPUCount=named(INT64, "CpuCount"),
    CPUPercent=named(INT64, "CpuPercent"),
    IOMaximumIOps=UINT64,
    IOMaximumBandwidth=UINT64,
)
BIND_OPTIONS = struct(
    "mount.BindOptions",
    Propagation=optional(basic("string", "mount.Propagation")),
    NonRecursive=optional(BOOL),
    CreateMountpoint=optional(BOOL),
    ReadOnlyNonRecursive=optional(BOOL),
    ReadOnlyForceRecursive=optional(BOOL),
)
MOUNT_DRIVER = struct("mount.Driver", Name=optional(STRING), Options=optional(TEXTS))
VOLUME_OPTIONS = struct(
    "mount.VolumeOptions",
    NoCopy=optional(BOOL),
    Labels=optional(TEXTS),
    Subpath=optional(STRING),
    DriverConfig=optional(pointer_to(MOUNT_DRIVER)),
)


def _file_mode(raw: Raw) -> bytes:
    """Format an os.FileMode as Go prints it: type letters, then the nine permission letters.

    ``raw`` is the integer with the bits of the mode.
    """
    letters = "".join(letter for bit, letter in enumerate("dalTLDpSugct?") if raw & 1 << (31 - bit)) or "-"
    bits = "".join(letter if raw & 1 << (8 - bit) else "-" for bit, letter in enumerate("rwxrwxrwx"))
    return (letters + bits).encode()


FILE_MODE = basic("uint32", "fs.FileMode", {"String": Method(lambda raw: string(_file_mode(raw)))})
TMPFS_OPTIONS = struct("mount.TmpfsOptions", SizeBytes=optional(INT64), Mode=optional(FILE_MODE))
MOUNT = struct(
    "mount.Mount",
    Type=optional(basic("string", "mount.Type")),
    Source=optional(STRING),
    Target=optional(STRING),
    ReadOnly=optional(BOOL),
    Consistency=optional(basic("string", "mount.Consistency")),
    BindOptions=optional(pointer_to(BIND_OPTIONS)),
    VolumeOptions=optional(pointer_to(VOLUME_OPTIONS)),
    TmpfsOptions=optional(pointer_to(TMPFS_OPTIONS)),
    ClusterOptions=optional(pointer_to(struct("mount.ClusterOptions"))),
)
HOST_CONFIG = struct(
    "container.HostConfig",
    Binds=STRINGS,
    ContainerIDFile=STRING,
    LogConfig=LOG_CONFIG,
    NetworkMode=NETWORK_MODE,
    PortBindings=PORT_MAP,
    RestartPolicy=RESTART_POLICY,
    AutoRemove=BOOL,
    VolumeDriver=STRING,
    VolumesFrom=STRINGS,
    ConsoleSize=array_of(2, UINT),
    Annotations=optional(TEXTS),
    CapAdd=STR_SLICE,
    CapDrop=STR_SLICE,
    CgroupnsMode=CGROUPNS_MODE,
    DNS=named(STRINGS, "Dns"),
    DNSOptions=named(STRINGS, "DnsOptions"),
    DNSSearch=named(STRINGS, "DnsSearch"),
    ExtraHosts=STRINGS,
    GroupAdd=STRINGS,
    IpcMode=IPC_MODE,
    Cgroup=CGROUP_SPEC,
    Links=STRINGS,
    OomScoreAdj=INT,
    PidMode=PID_MODE,
    Privileged=BOOL,
    PublishAllPorts=BOOL,
    ReadonlyRootfs=BOOL,
    SecurityOpt=STRINGS,
    StorageOpt=optional(TEXTS),
    Tmpfs=optional(TEXTS),
    UTSMode=UTS_MODE,
    UsernsMode=USERNS_MODE,
    ShmSize=INT64,
    Sysctls=optional(TEXTS),
    Runtime=optional(STRING),
    Isolation=ISOLATION,
    Resources=embedded(RESOURCES),
    Mounts=optional(slice_of(MOUNT)),
    MaskedPaths=STRINGS,
    ReadonlyPaths=STRINGS,
    Init=optional(pointer_to(BOOL)),
)
