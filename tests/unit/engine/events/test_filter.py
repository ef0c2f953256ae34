"""The filters of ``events`` give the results of dockerd 26.1.5 (daemon/events/filter.go)."""

from __future__ import annotations

import pytest

from engine.events.filter import matches
from engine.model import Event

WEB = Event("container", "start", "abc" + "0" * 61, {"name": "web", "image": "registry:5000/app:1.0", "tier": "front"})
EXEC = Event("container", "exec_create: ls -l", "abc" + "0" * 61, {"name": "web", "execID": "f" * 64})
NET = Event("network", "connect", "def" + "0" * 61, {"name": "app", "type": "bridge", "container": WEB.actor})
IMAGE = Event("image", "tag", "sha256:" + "1" * 64, {"name": "alpine:3.20"})
NODE = Event("node", "update", "k3x", {"name": "host2"}, scope="swarm")


@pytest.mark.parametrize(
    ("event", "filters", "matching"),
    [
        (WEB, {}, True),
        (WEB, {"type": ["container"]}, True),
        (WEB, {"type": ["network", "image"]}, False),
        (WEB, {"event": ["start", "die"]}, True),
        (WEB, {"event": ["star"]}, False),
        (EXEC, {"event": ["exec_create"]}, True),
        (EXEC, {"event": ["exec_start"]}, False),
        (EXEC, {"event": ["exec_create: ls -l"]}, True),
        (WEB, {"container": ["abc0"]}, True),
        (WEB, {"container": ["we"]}, True),
        (WEB, {"container": ["eb"]}, False),
        (NET, {"container": ["web"]}, False),
        (NET, {"network": ["ap"]}, True),
        (WEB, {"network": ["app"]}, False),
        (WEB, {"image": ["registry:5000/app"]}, True),
        (WEB, {"image": ["registry:5000/app:1.0"]}, True),
        (WEB, {"image": ["registry"]}, False),
        (IMAGE, {"image": ["alpine"]}, True),
        (IMAGE, {"image": ["sha256:" + "1" * 64]}, True),
        (WEB, {"label": ["tier"]}, True),
        (WEB, {"label": ["tier=front", "other"]}, False),
        (WEB, {"scope": ["local"]}, True),
        (NODE, {"scope": ["swarm"], "node": ["host"]}, True),
        (NODE, {"scope": ["local"]}, False),
        (WEB, {"unknown": ["x"]}, True),
    ],
)
def test_an_event_passes_if_each_filter_matches(event: Event, filters: dict[str, list[str]], matching: bool) -> None:
    assert matches(event, filters) is matching
