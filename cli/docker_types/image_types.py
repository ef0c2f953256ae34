"""The Go types of an image's inspect document (Engine API v1.45, types.ImageInspect)."""

from __future__ import annotations

from cli.docker_types.container_types import CONFIG, GRAPH_DRIVER_DATA
from cli.docker_types.schema import named, optional, struct
from cli.gotemplate.gotypes import INT64, STRING, STRINGS, pointer_to
from cli.gotemplate.timetypes import TIME

ROOT_FS = struct("types.RootFS", Type=optional(STRING), Layers=optional(STRINGS))
METADATA = struct("image.Metadata", LastTagTime=optional(TIME))
IMAGE_INSPECT = struct(
    "types.ImageInspect",
    ID=named(STRING, "Id"),
    RepoTags=STRINGS,
    RepoDigests=STRINGS,
    Parent=STRING,
    Comment=STRING,
    Created=optional(STRING),
    Container=optional(STRING),
    ContainerConfig=optional(pointer_to(CONFIG)),
    DockerVersion=STRING,
    Author=STRING,
    Config=pointer_to(CONFIG),
    Architecture=STRING,
    Variant=optional(STRING),
    Os=STRING,
    OsVersion=optional(STRING),
    Size=INT64,
    VirtualSize=optional(INT64),
    GraphDriver=GRAPH_DRIVER_DATA,
    RootFS=ROOT_FS,
    Metadata=METADATA,
)
