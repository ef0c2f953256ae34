"""The Go types of an event (Engine API v1.45, events.Message): names, order and JSON tags of the fields."""

from __future__ import annotations

from cli.docker_types.schema import optional, struct
from cli.gotemplate.gotypes import INT64, STRING, basic, map_of

ACTOR = struct("events.Actor", ID=STRING, Attributes=map_of(STRING, STRING))
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
