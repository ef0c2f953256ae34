"""The tests check the text that describes a container's state, as in ``ps``."""

import pytest

from engine.golang.timestamps import to_seconds
from engine.model import ContainerConfig, ContainerRecord, HostConfig
from engine.render.state import state_document, status_text

MINUTE = 60
STARTED, FINISHED = "2026-11-23T22:43:00.5Z", "2026-11-23T22:44:00.123456789Z"


def record(**fields):
    return ContainerRecord("a" * 64, "c1", STARTED, ContainerConfig("bb"), HostConfig(), **fields)


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
def test_each_state_has_dockers_status_text(fields, text):
    assert status_text(record(**fields), to_seconds(STARTED) + 2 * MINUTE) == text


def test_a_restarting_container_counts_as_running():
    state = state_document(record(status="restarting", exit_code=4))
    assert (state["Running"], state["Restarting"], state["Status"]) == (True, True, "restarting")


def test_fractions_of_a_second_are_parsed():
    assert to_seconds("1970-01-01T00:00:01.500000000Z") == 1.5
