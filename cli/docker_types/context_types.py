"""The Go types of the inspect document of a context.

The module holds the names and order of the fields, but no values.
"""

from __future__ import annotations

from cli.docker_types.schema import struct
from cli.gotemplate.gotypes import ANY, BOOL, STRING, map_of, slice_of

ENDPOINT = struct("docker.EndpointMeta", Host=STRING, SkipTLSVerify=BOOL)
CONTEXT = struct(
    "context.contextWithTLSListing",
    Name=STRING,
    Metadata=map_of(STRING, ANY),
    Endpoints=map_of(STRING, ENDPOINT),
    TLSMaterial=map_of(STRING, slice_of(STRING)),
    Storage=struct("context.storage", MetadataPath=STRING, TLSPath=STRING),
)
