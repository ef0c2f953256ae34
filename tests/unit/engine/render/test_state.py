"""How a state is worded for people."""

import pytest

from engine.model import ContainerConfig, ContainerRecord, HostConfig
from engine.render.state import human_duration, state_document, status_text, unix_time

MINUTE, HOUR, DAY = 60, 3600, 86400
STARTED, FINISHED = "2026-11-23T22:43:00.5Z", "2026-11-23T22:44:00.123456789Z"


def record(**fields):
    return ContainerRecord("a" * 64, "c1", STARTED, ContainerConfig("bb"), HostConfig(), **fields)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_a_duration_is_rounded_to_one_unit(seconds, text):
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Created"),
        ({"status": "running", "started_at": STARTED}, "Up 2 minutes"),
        ({"status": "paused", "started_at": STARTED}, "Up 2 minutes (Paused)"),
        (
            {"status": "exited", "exit_code": 3, "started_at": STARTED, "finished_at": FINISHED},
            "Exited (3) About a minute ago",
        ),
        (
            {"status": "restarting", "exit_code": 4, "started_at": STARTED, "finished_at": FINISHED},
            "Restarting (4) About a minute ago",
        ),
        ({"status": "removing", "started_at": STARTED}, "Removal In Progress"),
        ({"status": "dead", "started_at": STARTED}, "Dead"),
    ],
)
def test_a_state_has_its_words(fields, text):
    assert status_text(record(**fields), unix_time(STARTED) + 2 * MINUTE) == text


def test_a_restarting_container_counts_as_running():
    state = state_document(record(status="restarting", exit_code=4))
    assert (state["Running"], state["Restarting"], state["Status"]) == (True, True, "restarting")


def test_nanoseconds_are_read():
    assert unix_time("1970-01-01T00:00:01.500000000Z") == 1.5
