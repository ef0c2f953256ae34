"""Filters of ``ps`` give the results of dockerd 26.1.5."""

import pytest

from engine.errors import EngineError
from engine.filters.containers import filter_containers
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
    PortRecord,
)

N1 = NetworkRecord("5b89ebc88304" + "0" * 52, "n1", "", "bridge")
IMAGE = "sha256:efa3ef26691a" + "0" * 52
ATOI = "strconv.Atoi: parsing"
NINES = "9" * 5000


def container(name, status="running", network="n1", code=0, **host):
    network_id = N1.id if network == "n1" and status != "created" else ""
    return ContainerRecord(
        name.encode().hex().ljust(64, "0"),
        name,
        "",
        ContainerConfig("bb", labels={"l": "1"} if name == "fancy" else {}, exposed_ports=["99/tcp", "80/tcp"]),
        HostConfig(**host),
        attachments=[NetworkAttachment(network, EndpointSettings(), network_id)],
        image_id=IMAGE,
        status=status,
        exit_code=code,
        started_at="0001-01-01T00:00:00Z" if status == "created" else "2026-11-23T22:43:00.5Z",
    )


# The newest container comes first, as in the engine's lists.
RECORDS = [
    container("failed", "created", "nosuch", code=128),
    container("done", "exited", code=3),
    container("stopped", "exited", code=137),
    container("fancy", network="host", binds=["/tmp:/mnt/x:ro"]),
    container("web"),
    container("old", "created"),
]
ALL = ["done", "failed", "fancy", "old", "stopped", "web"]
WEB_PORT = PortRecord("tcp", "0.0.0.0", 8080, 8080, 80, 80)
WEB = EndpointRecord("e", N1.id, RECORDS[4].id, "", ports=[WEB_PORT])
SIDES = {r.id: ([WEB] if r.name == "web" else [], {N1.id: N1}) for r in RECORDS}


def names(everything=True, **filters):
    filters = {key.replace("_", "-"): values for key, values in filters.items()}
    return sorted(r.name for r in filter_containers(RECORDS, SIDES, filters, everything=everything))


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("id", [b"web".hex()], ["web"]),
        ("id", [b"web".hex()[2:]], []),
        ("id", [""], []),
        ("name", ["^web$"], ["web"]),
        ("name", ["^/web$"], ["web"]),
        ("name", ["WEB"], []),
        ("name", ["["], []),
        ("name", [""], ALL),
        *((key, [], ALL) for key in ("name", "id", "label", "status", "exited", "publish", "health", "before")),
        *((key, [], []) for key in ("ancestor", "network", "volume")),
        ("label", ["l"], ["fancy"]),
        ("label", ["l=2"], []),
        ("status", ["exited"], ["done", "stopped"]),
        ("status", ["created", "running"], ["failed", "fancy", "old", "web"]),
        ("status", ["removing"], []),
        ("exited", ["3"], ["done"]),
        ("exited", ["0"], []),
        ("exited", ["128"], []),
        ("exited", ["137", "3"], ["done", "stopped"]),
        ("ancestor", ["bb"], ALL),
        ("ancestor", ["bb:latest"], ALL),
        ("ancestor", [IMAGE], ALL),
        ("ancestor", [IMAGE[7:19]], ALL),
        ("ancestor", ["nosuch"], []),
        ("ancestor", [""], []),
        ("before", ["fancy"], ["old", "web"]),
        ("since", ["fancy"], ["done", "failed", "stopped"]),
        ("since", ["failed"], []),
        ("network", ["n1"], ["done", "old", "stopped", "web"]),
        ("network", [N1.id[:12]], ["done", "stopped", "web"]),
        ("network", ["nosuch", "host"], ["failed", "fancy"]),
        ("publish", ["8080"], ["web"]),
        ("publish", ["80"], []),
        ("publish", ["8000-9000/tcp"], ["web"]),
        ("publish", ["8080/udp"], []),
        ("expose", ["99"], ["web"]),
        ("expose", ["80-81"], ["web"]),
        ("expose", ["98"], []),
        ("volume", ["/mnt/x"], ["fancy"]),
        ("volume", ["/tmp"], ["fancy"]),
        ("volume", ["/mnt"], []),
        ("health", ["none"], ALL),
        ("health", ["healthy"], []),
        ("isolation", ["bogus"], ALL),
        ("is-task", ["true"], []),
        ("is-task", ["false"], ALL),
    ],
)
def test_a_filter_selects_the_matching_containers(key, values, expected):
    assert names(**{key: values}) == expected


def test_without_a_status_filter_only_running_containers_are_listed():
    assert names(everything=False) == ["fancy", "web"]
    assert names(everything=False, status=["exited"]) == ["done", "stopped"]
    assert names(everything=False, exited=["3"]) == []


def test_filtering_keeps_the_order():
    chosen = filter_containers(RECORDS, SIDES, {}, everything=True)
    assert chosen == RECORDS


@pytest.mark.parametrize(
    ("key", "value", "status", "text"),
    [
        ("foo", "x", 400, "invalid filter 'foo'"),
        ("label!", "x", 400, "invalid filter 'label!'"),
        ("status", "Running", 400, "invalid filter 'status=Running'"),
        ("exited", NINES, 400, f"invalid filter 'exited={NINES}': {ATOI} \"{NINES}\": value out of range"),
        ("exited", "x", 400, f"invalid filter 'exited=x': {ATOI} \"x\": invalid syntax"),
        ("exited", "", 400, f"invalid filter 'exited=': {ATOI} \"\": invalid syntax"),
        ("health", "bogus", 400, "unrecognized filter value for health: bogus"),
        ("is-task", "bogus", 400, "invalid filter 'is-task=[bogus]'"),
        (
            "expose",
            "2020-01-01",
            500,
            "error while looking up for expose 2020-01-01: Invalid range specified for the Port: 2020-01-01",
        ),
        ("before", "nosuch", 404, "No such container: nosuch"),
        ("since", b"web".hex(), 404, f"No such container: {b'web'.hex()}"),
        ("publish", "", 500, "error while looking up for publish : Empty string specified for ports."),
        (
            "expose",
            "abc",
            500,
            'error while looking up for expose abc: strconv.ParseUint: parsing "abc": invalid syntax',
        ),
    ],
)
def test_a_bad_filter_is_refused(key, value, status, text):
    with pytest.raises(EngineError) as caught:
        names(**{key: [value]})
    assert (str(caught.value), caught.value.status) == (text, status)
