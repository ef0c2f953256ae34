"""Each line of each scenario gives the same exit code, output and errors on hawse as on a running dockerd.

A sample of the scenarios also runs with docker's own command line on hawse's API. With HAWSE_TEST_API=on, all scenarios
run in this way.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Host

from .scenarios import Scenario, all_scenarios
from .targets import Api, Result, Target

pytestmark = pytest.mark.docker

SCENARIOS = all_scenarios()
THROUGH_THE_API = (
    "connect: create, start and connect in unusual orders",
    "create: options",
    "names: dots as names",
    "ports: unusual forms of -p",
)


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
def test_scenario_gives_the_same_output_on_hawse_and_on_docker(targets, scenario):
    with ThreadPoolExecutor(2) as pool:
        hawse, docker = pool.map(lambda target: target.play(scenario), targets)
    report = differences(scenario, hawse, docker)
    assert not report, f"{scenario.title}\n{report}"


@pytest.fixture(scope="module")
def api(targets: tuple[Target, Target], rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A third host on the wire of the other two, with hawse's API."""
    state = tmp_path_factory.mktemp("third")
    host = Host(f"hwd{os.getpid()}h3", targets[0].host.peer, state, 3)
    started = Api(host, state)
    try:
        started.load(rootfs)
        yield started
    finally:
        started.stop()
        host.delete()


@pytest.mark.parametrize("name", THROUGH_THE_API)
def test_scenario_gives_the_same_output_through_the_api(targets, api, name):
    (scenario,) = [s for s in SCENARIOS if f"{s.topic}: {s.title}" == name]
    with ThreadPoolExecutor(2) as pool:
        ours, docker = pool.map(lambda target: target.play(scenario), (api, targets[1]))
    report = differences(scenario, ours, docker)
    assert not report, f"{scenario.title}\n{report}"


def test_the_scenarios_compare_at_least_200_lines():
    assert sum(scenario.compared for scenario in SCENARIOS) >= 200
