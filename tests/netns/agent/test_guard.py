"""While containers run, an agent that was killed is started again, even before the user runs another hawse command."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time

import pytest

from engine.agent import client
from engine.runtime.supervisor import _MIN_RUN_SECONDS

pytestmark = pytest.mark.netns


@pytest.fixture
def named(host):
    """A host with two containers on one network. Each container can resolve the other container's name."""
    host.hawse("network", "create", "app")
    for name in ("web", "db"):
        host.hawse("run", "-d", "--name", name, "--network", "app", "hostfs", "sleep", "1000")
    return host


def agent(host) -> int:
    """Return the agent's pid, or 0 if no agent runs."""
    answer = client.ask(host.run_dir, "status", 5)
    return json.loads(answer)["pid"] if answer else 0


def ends(host, number: int) -> None:
    os.kill(agent(host), number)
    deadline = time.monotonic() + 5
    while agent(host):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_agent_is_there_again_and_serves(named):
    time.sleep(_MIN_RUN_SECONDS)
    first = agent(named)
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while agent(named) in (0, first):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "172.18.0.2" in named.hawse("exec", "db", "busybox", "nslookup", "-type=a", "web.").stdout
    assert (named.run_dir / "agent.log").read_text() == ""


def test_agent_of_an_older_version_makes_room_for_one_of_the_next_commands_version(named):
    first, store = agent(named), sqlite3.connect(named.root / "hawse.db")
    version = store.execute("PRAGMA user_version").fetchone()[0]
    store.execute(f"PRAGMA user_version = {version + 1}")
    assert client.ask(named.run_dir, "changed", 5) is None
    store.execute(f"PRAGMA user_version = {version}")
    store.close()
    named.hawse("run", "-d", "--name", "late", "--network", "app", "hostfs", "sleep", "1000")
    assert agent(named) not in (0, first)
    assert "172.18.0.4" in named.hawse("exec", "db", "busybox", "nslookup", "-type=a", "late.").stdout


def test_agent_that_was_asked_to_end_stays_away(named):
    time.sleep(_MIN_RUN_SECONDS)
    ends(named, signal.SIGTERM)
    time.sleep(1)
    assert not agent(named)
