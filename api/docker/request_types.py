"""The Go structs of request bodies in Docker 26.1.5, with a few fields of later versions."""

from __future__ import annotations

from engine.golang.json_types import Anything, Bool, GoType, Int, ListOf, MapOf, Struct, Text, Words

STRING, BOOL, ANYTHING = Text(), Bool(), Anything()
INT, INT64, UINT64 = Int("int"), Int("int64"), Int("uint64", signed=False)
UINT16, UINT32 = Int("uint16", 16, signed=False), Int("uint32", 32, signed=False)
DURATION = Int("time.Duration")
STRINGS, PAIRS, WORDS = ListOf(STRING), MapOf(STRING), Words()
CONSOLE_SIZE = ListOf(Int("uint", signed=False), "[2]uint", 2)
EMPTY = Struct("struct {}", {})


def _fields(kind: GoType, names: str) -> dict[str, GoType]:
    return dict.fromkeys(names.split(), kind)


def _modes(*names: str) -> dict[str, GoType]:
    """Return a string field for each name; the Go type in error texts is ``container.`` and the same name.

    Example: the field NetworkMode has the Go type container.NetworkMode.
    """
    return {name: Text(f"container.{name}") for name in names}


IPAM_CONFIG = Struct(
    "network.IPAMConfig", {**_fields(STRING, "Subnet IPRange Gateway"), "AuxiliaryAddresses": PAIRS},
)  # fmt: skip
IPAM = Struct("network.IPAM", {"Driver": STRING, "Options": PAIRS, "Config": ListOf(IPAM_CONFIG)})
NETWORK_CREATE = Struct("types.NetworkCreateRequest", {"Name": STRING}, Struct("types.NetworkCreate", {
    **_fields(STRING, "Driver Scope"),
    **_fields(BOOL, "CheckDuplicate EnableIPv4 EnableIPv6 Internal Attachable Ingress ConfigOnly"),
    "IPAM": IPAM,
    "ConfigFrom": Struct("network.ConfigReference", {"Network": STRING}),
    **_fields(PAIRS, "Options Labels"),
}))  # fmt: skip

ENDPOINT_SETTINGS = Struct("network.EndpointSettings", {
    "IPAMConfig": Struct(
        "network.EndpointIPAMConfig", {**_fields(STRING, "IPv4Address IPv6Address"), "LinkLocalIPs": STRINGS}
    ),
    **_fields(STRINGS, "Links Aliases DNSNames"),
    **_fields(STRING, "MacAddress NetworkID EndpointID Gateway IPAddress IPv6Gateway GlobalIPv6Address"),
    **_fields(INT, "IPPrefixLen GlobalIPv6PrefixLen GwPriority"),
    "DriverOpts": PAIRS,
})  # fmt: skip
NETWORK_CONNECT = Struct("types.NetworkConnect", {"Container": STRING, "EndpointConfig": ENDPOINT_SETTINGS})
NETWORK_DISCONNECT = Struct("types.NetworkDisconnect", {"Container": STRING, "Force": BOOL})

DEVICE = Struct("container.DeviceMapping", _fields(STRING, "PathOnHost PathInContainer CgroupPermissions"))
DEVICE_REQUEST = Struct("container.DeviceRequest", {
    "Driver": STRING, "Count": INT, "DeviceIDs": STRINGS, "Capabilities": ListOf(STRINGS), "Options": PAIRS,
})  # fmt: skip
THROTTLE = ListOf(Struct("blkiodev.ThrottleDevice", {"Path": STRING, "Rate": UINT64}), "[]*blkiodev.ThrottleDevice")
WEIGHTS = ListOf(Struct("blkiodev.WeightDevice", {"Path": STRING, "Weight": UINT16}), "[]*blkiodev.WeightDevice")
ULIMITS = ListOf(Struct("units.Ulimit", {"Name": STRING, **_fields(INT64, "Hard Soft")}), "[]*units.Ulimit")
RESOURCES = Struct("container.Resources", {
    **_fields(INT64, "CpuShares Memory NanoCpus CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime KernelMemory "
                     "KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness PidsLimit CpuCount CpuPercent"),
    **_fields(UINT64, "IOMaximumIOps IOMaximumBandwidth"),
    **_fields(STRING, "CgroupParent CpusetCpus CpusetMems"),
    **_fields(THROTTLE, "BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps"),
    "BlkioWeight": UINT16,
    "BlkioWeightDevice": WEIGHTS,
    "Devices": ListOf(DEVICE),
    "DeviceCgroupRules": STRINGS,
    "DeviceRequests": ListOf(DEVICE_REQUEST),
    "OomKillDisable": BOOL,
    "Ulimits": ULIMITS,
})  # fmt: skip

RESTART_POLICY = Struct(
    "container.RestartPolicy", {"Name": Text("container.RestartPolicyMode"), "MaximumRetryCount": INT}
)
MOUNT = Struct("mount.Mount", {
    "Type": Text("mount.Type"),
    **_fields(STRING, "Source Target"),
    "ReadOnly": BOOL,
    "Consistency": Text("mount.Consistency"),
    "BindOptions": Struct("mount.BindOptions", {
        "Propagation": Text("mount.Propagation"),
        **_fields(BOOL, "NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive"),
    }),
    "VolumeOptions": Struct("mount.VolumeOptions", {
        "NoCopy": BOOL, "Labels": PAIRS, "Subpath": STRING,
        "DriverConfig": Struct("mount.Driver", {"Name": STRING, "Options": PAIRS}),
    }),
    "TmpfsOptions": Struct("mount.TmpfsOptions", {
        "SizeBytes": INT64, "Mode": Int("fs.FileMode", 32, signed=False), "Options": ANYTHING,
    }),
    "ClusterOptions": Struct("mount.ClusterOptions", {}),
    "ImageOptions": ANYTHING,
})  # fmt: skip
PORT_BINDINGS = MapOf(ListOf(Struct("nat.PortBinding", _fields(STRING, "HostIp HostPort"))), "nat.PortMap")
HOST_CONFIG = Struct("container.HostConfig", {
    **_fields(STRINGS, "Binds VolumesFrom Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links SecurityOpt MaskedPaths "
                       "ReadonlyPaths"),
    **_fields(STRING, "ContainerIDFile VolumeDriver Runtime"),
    **_fields(BOOL, "AutoRemove Privileged PublishAllPorts ReadonlyRootfs Init"),
    **_fields(PAIRS, "Annotations StorageOpt Sysctls Tmpfs"),
    **_modes("NetworkMode", "CgroupnsMode", "IpcMode", "PidMode", "UTSMode", "UsernsMode", "Isolation"),
    "Cgroup": Text("container.CgroupSpec"),
    "LogConfig": Struct("container.LogConfig", {"Type": STRING, "Config": PAIRS}),
    "PortBindings": PORT_BINDINGS,
    "RestartPolicy": RESTART_POLICY,
    "ConsoleSize": CONSOLE_SIZE,
    **_fields(WORDS, "CapAdd CapDrop"),
    "OomScoreAdj": INT,
    "ShmSize": INT64,
    "Mounts": ListOf(MOUNT),
}, RESOURCES)  # fmt: skip
HEALTHCHECK = Struct("v1.HealthcheckConfig", {
    "Test": STRINGS, **_fields(DURATION, "Interval Timeout StartPeriod StartInterval"), "Retries": INT,
})  # fmt: skip
CONFIG = Struct("container.Config", {
    **_fields(STRING, "Hostname Domainname User Image WorkingDir MacAddress StopSignal"),
    **_fields(BOOL, "AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce ArgsEscaped NetworkDisabled"),
    "ExposedPorts": MapOf(EMPTY, "nat.PortSet"),
    "Volumes": MapOf(EMPTY),
    **_fields(WORDS, "Cmd Entrypoint Shell"),
    **_fields(STRINGS, "Env OnBuild"),
    "Labels": PAIRS,
    "StopTimeout": INT,
    "Healthcheck": HEALTHCHECK,
})  # fmt: skip
ENDPOINTS = MapOf(ENDPOINT_SETTINGS, "map[string]*network.EndpointSettings")
CONTAINER_CREATE = Struct("runconfig.ContainerConfigWrapper", {
    "HostConfig": HOST_CONFIG,
    "NetworkingConfig": Struct("network.NetworkingConfig", {"EndpointsConfig": ENDPOINTS}),
}, CONFIG)  # fmt: skip
CONTAINER_UPDATE = Struct("container.UpdateConfig", {"RestartPolicy": RESTART_POLICY}, RESOURCES)

EXEC_CREATE = Struct("types.ExecConfig", {
    **_fields(STRING, "User DetachKeys WorkingDir"),
    **_fields(BOOL, "Privileged Tty AttachStdin AttachStderr AttachStdout Detach"),
    **_fields(STRINGS, "Env Cmd"),
    "ConsoleSize": CONSOLE_SIZE,
})  # fmt: skip
EXEC_START = Struct("types.ExecStartCheck", {**_fields(BOOL, "Detach Tty"), "ConsoleSize": CONSOLE_SIZE})

VOLUME_CREATE = Struct("volume.CreateOptions", {
    **_fields(STRING, "Name Driver"), **_fields(PAIRS, "DriverOpts Labels"), "ClusterVolumeSpec": ANYTHING,
})  # fmt: skip

SWARM_INIT = Struct("swarm.InitRequest", {
    **_fields(STRING, "ListenAddr AdvertiseAddr DataPathAddr"),
    **_fields(UINT32, "DataPathPort SubnetSize"),
    **_fields(BOOL, "ForceNewCluster AutoLockManagers"),
    "Availability": Text("swarm.NodeAvailability"),
    "DefaultAddrPool": STRINGS,
    "Spec": ANYTHING,
})  # fmt: skip
SWARM_JOIN = Struct("swarm.JoinRequest", {
    **_fields(STRING, "ListenAddr AdvertiseAddr DataPathAddr JoinToken"),
    "Availability": Text("swarm.NodeAvailability"),
    "RemoteAddrs": STRINGS,
})  # fmt: skip
AUTH_CONFIG = Struct(
    "registry.AuthConfig", _fields(STRING, "username password auth email serveraddress identitytoken registrytoken")
)
FILTERS, OLD_FILTERS = MapOf(MapOf(BOOL)), MapOf(STRINGS)
"""The two forms of the query parameter ``filters``: {"name": {"web": true}}, and the older {"name": ["web"]}."""
