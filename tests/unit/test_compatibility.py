"""docs/compatibility.md covers every command and flag of hawse and Docker, and is current."""

from __future__ import annotations

import copy

import pytest

from cli.completion.tree import nodes
from cli.root import root
from docs import compatibility


@pytest.fixture
def facts():
    return compatibility.load()[0]


def test_document_is_up_to_date():
    text, _ = compatibility.document()
    assert text == compatibility.TARGET.read_text(), "stale: run `python -m docs.build`"


def test_every_departure_matches_a_command_or_flag():
    assert compatibility.document()[1] == set()


def test_every_difference_has_its_reason():
    _, departures = compatibility.load()
    for entry in departures["flag"] + departures["command"]:
        assert entry["state"] in ("differs", "ignored", "refused", "added", "absent")
        assert entry["why"], entry


def test_every_command_and_flag_has_a_row(facts):
    text, _ = compatibility.document()
    for node in nodes(root):
        assert f"### {compatibility.shown(node.paths)}\n" in text
        rows = [row[0] for row in compatibility.flag_rows(facts, node)]
        assert [flag.long for flag in node.flags if not any(row.startswith(f"`{flag.long}`") for row in rows)] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda docker: docker["network create"]["flags"].append("--new"), "network create --new"),
        (lambda docker: docker["network ls"]["flags"].remove("--quiet"), "network ls --quiet"),
        (lambda docker: docker.update({"network freeze": {}}), "network freeze"),
        (lambda docker: docker.pop("port") and docker.pop("container port"), "container port"),
    ],
)
def test_a_command_or_flag_that_no_list_explains_is_an_error(monkeypatch, facts, change, problem):
    load = compatibility.load

    def changed():
        recorded, departures = load()
        recorded.docker = copy.deepcopy(dict(recorded.docker))
        change(recorded.docker)
        return recorded, departures

    monkeypatch.setattr(compatibility, "load", changed)
    with pytest.raises(compatibility.Unclassified, match=problem):
        compatibility.document()
