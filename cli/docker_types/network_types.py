"""The Go types of a network's inspect document (Engine API v1.45, types.NetworkResource)."""

from __future__ import annotations

from cli.docker_types.schema import named, optional, struct
from cli.gotemplate.gotypes import BOOL, INT, STRING, STRINGS, map_of, slice_of
from cli.gotemplate.timetypes import TIME

TEXTS = map_of(STRING, STRING)

IPAM_CONFIG = struct(
    "network.IPAMConfig",
    Subnet=optional(STRING),
    IPRange=optional(STRING),
    Gateway=optional(STRING),
    AuxAddress=optional(TEXTS, "AuxiliaryAddresses"),
)
IPAM = struct("network.IPAM", Driver=STRING, Options=TEXTS, Config=slice_of(IPAM_CONFIG))
CONFIG_REFERENCE = struct("network.ConfigReference", Network=STRING)
PEER_INFO = struct("network.PeerInfo", Name=STRING, IP=STRING)
TASK = struct("network.Task", Name=STRING, EndpointID=STRING, EndpointIP=STRING, Info=TEXTS)
SERVICE_INFO = struct("network.ServiceInfo", VIP=STRING, Ports=STRINGS, LocalLBIndex=INT, Tasks=slice_of(TASK))
ENDPOINT_RESOURCE = struct(
    "types.EndpointResource",
    Name=STRING,
    EndpointID=STRING,
    MacAddress=STRING,
    IPv4Address=STRING,
    IPv6Address=STRING,
)
NETWORK_RESOURCE = struct(
    "types.NetworkResource",
    Name=STRING,
    ID=named(STRING, "Id"),
    Created=TIME,
    Scope=STRING,
    Driver=STRING,
    EnableIPv6=BOOL,
    IPAM=IPAM,
    Internal=BOOL,
    Attachable=BOOL,
    Ingress=BOOL,
    ConfigFrom=CONFIG_REFERENCE,
    ConfigOnly=BOOL,
    Containers=map_of(STRING, ENDPOINT_RESOURCE),
    Options=TEXTS,
    Labels=TEXTS,
    Peers=optional(slice_of(PEER_INFO)),
    Services=optional(map_of(STRING, SERVICE_INFO)),
)
