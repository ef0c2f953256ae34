"""Each line of each scenario gives the same exit code, output and errors on hawse as on a running dockerd."""

from __future__ import annotations

import difflib
from concurrent.futures import ThreadPoolExecutor

import pytest

from .scenarios import Scenario, all_scenarios
from .targets import Result

pytestmark = pytest.mark.docker

SCENARIOS = all_scenarios()


def transcript(result: Result) -> list[str]:
    streams = {"out": result.stdout, "err": result.stderr}
    lines = [f"{name}: {line}" for name, text in streams.items() for line in text.split("\n")]
    return [f"exit {result.exit_code}", *lines]


def differences(scenario: Scenario, hawse: list[Result], docker: list[Result]) -> str:
    """Return a diff from Docker's transcript of a scenario to hawse's transcript, or "" if they are equal."""
    lines = []
    for line, ours, theirs in zip(scenario.lines, hawse, docker, strict=True):
        if line.compared and ours != theirs:
            diff = difflib.unified_diff(transcript(theirs), transcript(ours), lineterm="", n=1)
            lines += [f"$ {line.text}", *list(diff)[2:]]
    return "\n".join(lines)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[f"{s.topic}: {s.title}" for s in SCENARIOS])
def test_scene_reads_the_same_on_hawse_and_on_docker(targets, scenario):
    with ThreadPoolExecutor(2) as pool:
        hawse, docker = pool.map(lambda target: target.play(scenario), targets)
    report = differences(scenario, hawse, docker)
    assert not report, f"{scenario.title}\n{report}"


def test_there_are_scenarios_enough():
    assert sum(scenario.compared for scenario in SCENARIOS) >= 200
