"""Exposed ports, given as ranges and as single ports."""

from __future__ import annotations

from engine.ports.specs import expand_exposed, exposed_ranges


def test_ranges_that_meet_become_one():
    assert exposed_ranges(["90/tcp", "80-84/tcp", "82-89/tcp", "53/udp", "95", "53/udp"]) == [
        ("tcp", 80, 90), ("tcp", 95, 95), ("udp", 53, 53),
    ]  # fmt: skip


def test_every_port_is_named():
    assert list(expand_exposed(["80-82/tcp", "53/udp", "7"])) == ["80/tcp", "81/tcp", "82/tcp", "53/udp", "7"]
