"""The Go types of a node's inspect document (Engine API v1.45, swarm.Node), limited to the fields that hawse writes."""

from __future__ import annotations

from cli.docker_types.schema import optional, struct
from cli.gotemplate.gotypes import BOOL, INT, STRING, map_of, slice_of
from cli.gotemplate.timetypes import TIME

VERSION = struct("swarm.Version", Index=optional(INT))
SPEC = struct(
    "swarm.NodeSpec",
    Name=optional(STRING),
    Labels=map_of(STRING, STRING),
    Role=optional(STRING),
    Availability=optional(STRING),
)
PLATFORM = struct("swarm.Platform", Architecture=optional(STRING), OS=optional(STRING))
RESOURCES = struct("swarm.Resources", NanoCPUs=optional(INT), MemoryBytes=optional(INT))
PLUGIN = struct("swarm.PluginDescription", Type=optional(STRING), Name=optional(STRING))
ENGINE = struct(
    "swarm.EngineDescription",
    EngineVersion=optional(STRING),
    Labels=optional(map_of(STRING, STRING)),
    Plugins=optional(slice_of(PLUGIN)),
)
TLS = struct("swarm.TLSInfo", TrustRoot=optional(STRING), CertIssuerSubject=STRING, CertIssuerPublicKey=STRING)
DESCRIPTION = struct(
    "swarm.NodeDescription",
    Hostname=optional(STRING),
    Platform=PLATFORM,
    Resources=RESOURCES,
    Engine=ENGINE,
    TLSInfo=TLS,
)
STATUS = struct("swarm.NodeStatus", State=optional(STRING), Message=optional(STRING), Addr=optional(STRING))
MANAGER_STATUS = struct(
    "swarm.ManagerStatus", Leader=optional(BOOL), Reachability=optional(STRING), Addr=optional(STRING)
)
NODE = struct(
    "swarm.Node",
    ID=STRING,
    Version=optional(VERSION),
    CreatedAt=optional(TIME),
    UpdatedAt=optional(TIME),
    Spec=optional(SPEC),
    Description=optional(DESCRIPTION),
    Status=optional(STATUS),
    ManagerStatus=optional(MANAGER_STATUS),
)
