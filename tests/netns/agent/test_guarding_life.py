"""The agent runs while hawse has firewall rules to guard. If the agent is killed, a new agent starts.

The agent ends when hawse has no firewall rules left.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from drivers.firewall import table
from drivers.firewall.standby_table import TABLE
from tests import conftest
from tests.installation import CHECKOUT
from tests.netns.agent.conftest import agent

pytestmark = pytest.mark.netns
until = partial(conftest.until, seconds=20.0)

ENDS_TOO_SOON = """
import subprocess, sys
from engine.agentd.__main__ import main
from engine.agentd.agent import Agent

def run(agent, run=Agent.run):
    run(agent)
    subprocess.run([sys.executable, "-m", "cli", "network", "create", "late"], check=True)

Agent.run = run
main()
"""
CONTAINER = ["run", "-d", "--name", "web", "-p", "8080:80", "hostfs", "sleep", "1000"]


def repaired(host) -> bool:
    """Flush the host's nftables ruleset; return whether the agent restores the ruleset without any hawse command."""
    host.sh("nft flush ruleset")
    return until(lambda: "drop" in host.sh("nft list chain inet hawse forward", check=False))


def agents(host) -> list[int]:
    """Return the pids of all agents of a host, including those that are about to end."""
    pids = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"engine.agentd" in (entry / "cmdline").read_bytes().split(b"\0"):
                mark = f"HAWSE_RUN={host.run_dir}".encode()
                pids += [int(entry.name)] if mark in (entry / "environ").read_bytes().split(b"\0") else []
        except OSError:
            continue
    return pids


@pytest.mark.parametrize("command", [["network", "create", "app"], CONTAINER], ids=["empty network", "default bridge"])
def test_the_agent_repairs_the_firewall_after_each_first_command(host, command):
    host.hawse(*command)
    until(lambda: agent(host))
    until(lambda: TABLE in host.sh("nft list tables"))
    assert repaired(host)


def test_commands_at_once_start_one_agent(host):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: host.hawse("network", "create", f"n{number}"), range(4)))
    until(lambda: agent(host))
    assert agents(host) == [agent(host)]


def test_the_next_command_replaces_an_agent_that_was_killed(host):
    host.hawse("network", "create", "app")
    first = until(lambda: agent(host))
    os.kill(first, signal.SIGKILL)
    host.hawse("network", "create", "next")
    assert until(lambda: agent(host)) != first
    assert repaired(host)


def test_a_flush_just_after_the_agent_was_killed_is_repaired_by_the_next_agent(host):
    host.hawse(*CONTAINER)
    first = until(lambda: agent(host))
    os.kill(first, signal.SIGKILL)
    assert repaired(host)
    assert agent(host) not in (0, first)


def test_the_next_agent_gives_the_bridges_of_an_older_version_of_hawse_their_settings(host):
    host.hawse(*CONTAINER)
    first = until(lambda: agent(host))
    bridge = host.sh("ls -d /sys/class/net/*/bridge").split("/")[-2]
    host.sh(f"ip link set {bridge} type bridge mcast_snooping 1 fdb_max_learned 0")
    os.kill(first, signal.SIGKILL)
    until(lambda: "mcast_snooping 0" in (shown := host.sh(f"ip -d link show {bridge}")) and "learned 65536" in shown)


def test_an_agent_without_networks_to_guard_ends(host):
    env = {"HAWSE_AGENT_IDLE": "2"}
    host.hawse("network", "create", "app", env=env)
    until(lambda: TABLE in host.sh("nft list tables"))
    first = agent(host)
    host.hawse("network", "rm", "app", env=env)
    until(lambda: TABLE not in host.sh("nft list tables"), seconds=5)
    until(lambda: not agents(host))
    assert "hawse" not in host.sh("nft list tables")
    host.hawse("network", "create", "app", env=env)
    assert until(lambda: agent(host)) != first


def load_table(host, version: int) -> None:
    """Load the table of another version of hawse, as nft -f with a saved ruleset does."""
    theirs = re.sub(r"ruleset_\d+", f"ruleset_{version}", host.sh("nft list table inet hawse"))
    host.run("nft", "-f", "-", stdin=None, input=f"delete table inet hawse\n{theirs}")


def test_an_agent_replaces_the_table_of_an_older_version_of_hawse(host):
    host.hawse("network", "create", "app")
    first = until(lambda: agent(host))
    until(lambda: TABLE in host.sh("nft list tables"))
    time.sleep(0.5)
    load_table(host, 1)
    until(lambda: table.VERSION_SET in host.sh("nft list table inet hawse"))
    assert "ruleset_1 " not in host.sh("nft list table inet hawse")
    assert agent(host) == first


def test_an_agent_makes_room_for_a_newer_version_of_hawse(host):
    """The agent ends after a newer version of hawse has replaced the nftables table.

    The next command of this version restores this version's table and starts a new agent.
    """
    host.hawse("network", "create", "app")
    first = until(lambda: agent(host))
    until(lambda: TABLE in host.sh("nft list tables"))
    time.sleep(0.5)
    load_table(host, 999)
    until(lambda: first not in agents(host))
    host.hawse("network", "create", "next")
    until(lambda: table.VERSION_SET in host.sh("nft list table inet hawse"))
    assert "ruleset_999 " not in host.sh("nft list table inet hawse")
    until(lambda: agent(host) not in (0, first))


def test_an_agent_that_ends_as_a_network_comes_up_starts_the_next_one(host):
    """A network is created while the agent ends. The old agent still holds the agent's lock, so the command starts no
    agent.

    The old agent must then start the next agent.
    """
    host.run(sys.executable, "-c", ENDS_TOO_SOON, env=host.env(HAWSE_AGENT_IDLE="0.2"), cwd=CHECKOUT)
    assert "late" in host.hawse("network", "ls").stdout
    until(lambda: agent(host))
    assert repaired(host)
