"""Choose the containers that the command ``ps`` lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.errors import EngineError, InvalidArgument, NotFound
from engine.filters.rules import check_keys, matches_labels, matches_pattern, truth
from engine.golang.strconv import atoi, parse_uint
from engine.golang.timestamps import NEVER
from engine.model import ContainerRecord, EndpointRecord, Filters, NetworkRecord
from engine.render.mounts import parse_bind
from engine.render.ports import listed_ports_document, ports_document
from engine.render.state import ALIVE

Sides = Mapping[str, tuple[Sequence[EndpointRecord], Mapping[str, NetworkRecord]]]
Test = Callable[[ContainerRecord], bool]

KEYS = frozenset(
    {"ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network"}
    | {"publish", "since", "status", "volume"}
)
STATUSES = ("created", "dead", "exited", "paused", "removing", "restarting", "running")
HEALTH = ("healthy", "none", "starting", "unhealthy")


def filter_containers(
    records: Sequence[ContainerRecord], sides: Sides, filters: Filters, *, everything: bool = False
) -> list[ContainerRecord]:
    """Return the containers that match the filters; ``records`` must be sorted newest first.

    ``sides`` maps each container id to two values: the container's live endpoints, and the records of their networks by
    network id. If ``everything`` is false and there is no ``status`` filter, containers that do not run are left out.
    """
    check_keys(filters, KEYS)
    _check_values(filters)
    records = _between(records, filters)
    tests = [*_value_tests(filters), _port_test(filters, sides)] if filters else []
    shown = everything or bool(filters.get("status"))
    return [r for r in records if (shown or r.status in ALIVE) and all(test(r) for test in tests)]


def _check_values(filters: Filters) -> None:
    """Check the values of the filters exited, status, is-task and health, in Docker's order; raises InvalidArgument."""
    _exit_codes(filters)
    for value in filters.get("status", ()):
        if value not in STATUSES:
            raise InvalidArgument(f"invalid filter 'status={value}'")
    truth(filters, "is-task")
    for value in filters.get("health", ()):
        if value not in HEALTH:
            raise InvalidArgument(f"unrecognized filter value for health: {value}")


def _value_tests(filters: Filters) -> list[Test]:
    ids, statuses, codes = filters.get("id", ()), filters.get("status", ()), _exit_codes(filters)
    ancestors, volumes, networks = filters.get("ancestor"), filters.get("volume"), filters.get("network")
    return [
        lambda r: not ids or any(i and r.id.startswith(i) for i in ids),
        lambda r: matches_pattern(filters, "name", r.name, f"/{r.name}"),
        lambda r: matches_labels(filters.get("label", ()), r.config.labels),
        lambda r: not statuses or r.status in statuses,
        lambda r: not codes or (r.exit_code in codes and r.status not in ALIVE and r.started_at != NEVER),
        # As in Docker, if one of these three filters is given without values, no container matches.
        lambda r: ancestors is None or any(_descends(r, image) for image in ancestors),
        lambda r: volumes is None or any(_mounts(r, volume) for volume in volumes),
        lambda r: networks is None or any(_is_on(r, network) for network in networks),
        lambda r: "none" in filters.get("health", ()) or not filters.get("health"),
        # No container matches ``is-task=true``, because hawse has no swarm services and so no tasks.
        lambda r: not truth(filters, "is-task"),
    ]


def _exit_codes(filters: Filters) -> set[int]:
    return {_exit_code(value) for value in filters.get("exited", ())}


def _exit_code(text: str) -> int:
    try:
        return atoi(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid filter 'exited={text}': {error}") from None


def _descends(record: ContainerRecord, image: str) -> bool:
    if not image:
        return False
    image_id = record.image_id
    names = (record.config.image, _tagged(record.config.image))
    return (
        image == image_id
        or image_id.removeprefix("sha256:").startswith(image)
        or _tagged(image) in names
        or image in names
    )


def _tagged(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def _mounts(record: ContainerRecord, path: str) -> bool:
    mounts = [parse_bind(bind)[0] for bind in record.host.binds or ()]
    return any(path in (mount.source, mount.target) for mount in mounts)


def _is_on(record: ContainerRecord, network: str) -> bool:
    ids = [attachment.network_id for attachment in record.attachments]
    names = [attachment.network for attachment in record.attachments]
    return network in names or any(network_id.startswith(network) for network_id in ids)


def _between(records: Sequence[ContainerRecord], filters: Filters) -> Sequence[ContainerRecord]:
    order = {record.id: index for index, record in enumerate(records)}
    first, last = 0, len(records)
    for reference in filters.get("before", ()):
        first = order[_named(records, reference).id] + 1
    for reference in filters.get("since", ()):
        last = order[_named(records, reference).id]
    return records[first:last]


def _named(records: Sequence[ContainerRecord], reference: str) -> ContainerRecord:
    # As in Docker, the filters ``before`` and ``since`` accept a container's full id or name, but no id prefix.
    for record in records:
        if reference.removeprefix("/") == record.name or reference == record.id:
            return record
    raise NotFound(f"No such container: {reference}")


def _port_test(filters: Filters, sides: Sides) -> Test:
    published = _port_set("publish", filters)
    exposed = _port_set("expose", filters)

    def test(record: ContainerRecord) -> bool:
        if not filters.get("publish") and not filters.get("expose"):
            return True
        endpoints, networks = sides[record.id] if record.status in ALIVE else ((), {})
        listed = listed_ports_document(ports_document(record, endpoints, networks))
        outside = {(port.get("PublicPort", 0), port["Type"]) for port in listed}
        return bool(outside & published or {(port["PrivatePort"], port["Type"]) for port in listed} & exposed)

    return test


def _port_set(key: str, filters: Filters) -> set[tuple[int, str]]:
    ports = set()
    for value in filters.get(key, ()):
        if ":" in value:
            raise EngineError(f"filter for '{key}' should not contain ':': {value}")
        numbers, _, protocol = value.partition("/")
        start, end = _port_range(numbers, f"error while looking up for {key} {value}")
        ports |= {(number, protocol or "tcp") for number in range(start, end + 1)}
    return ports


def _port_range(text: str, title: str) -> tuple[int, int]:
    if not text:
        raise EngineError(f"{title}: Empty string specified for ports.")
    parts = text.split("-")[:2]  # Docker ignores the parts after the second
    first, last = _port(parts[0], title), _port(parts[-1], title)
    if last < first:
        raise EngineError(f"{title}: Invalid range specified for the Port: {text}")
    return first, last


def _port(text: str, title: str) -> int:
    try:
        return parse_uint(text, 16, base=10)
    except ValueError as error:
        raise EngineError(f"{title}: {error}") from None
