"""The agent restores a flushed firewall as it was before the flush.

The agent does not restore elements that a command is removing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator

import pytest

from drivers.linux import process
from engine.agent import client
from engine.agentd.__main__ import BUSY_SECONDS
from engine.store.sqlite import SqliteStore
from tests.conftest import loaded, until

pytestmark = pytest.mark.netns
HOST, HOST6 = "192.168.99.11", "fd99::11"
LOSSES = {
    "everything": "nft flush ruleset",
    "the table": "nft delete table inet hawse",
    "the rules": "nft flush table inet hawse",
    "the spoof guard": "nft delete table bridge hawse",
    "the spoof guard's rules": "nft flush table bridge hawse",
}
REPAIR = """
import sys
from engine.recovery import recover as recovery
from engine.core import open_engine

recovery.announce = recovery.keep_agent = lambda *_: None
recovery.repair(open_engine().host)
sys.exit()
"""
REPAIR_WHILE_LEAVING = """
import subprocess
from engine.endpoints import sandbox
from engine.recovery import recover

def remove_and_repair(host, ends, remove=sandbox.remove_from_host):
    remove(host, ends)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    recover.repair(host)

sandbox.remove_from_host = remove_and_repair
"""


@pytest.fixture(scope="module")
def scenario(world, tmp_path_factory) -> Iterator[dict[str, str]]:
    """Containers and networks that together need many types of firewall elements.

    The containers and networks have published ports, links between containers (``--link``), the spoof guard, the
    gateway modes nat and routed, and a source address for masquerading.
    """
    config = tmp_path_factory.mktemp("config") / "daemon.json"
    config.write_text('{"icc": false}')
    os.environ["HAWSE_CONFIG"] = str(config)
    world.networks(
        app=["--ipv6", "--subnet", "172.31.0.0/16", "--subnet", "fd00:31::/64"],
        guarded=["--subnet", "172.32.0.0/16", "-o", "com.hawse.bridge.spoof_guard=true"],
        routed=["--subnet", "172.33.0.0/16", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed"],
        enclosed=["--internal", "--subnet", "172.34.0.0/16"],
        sourced=["--subnet", "172.35.0.0/16", "-o", "com.docker.network.host_ipv4=192.168.99.77"],
    )
    ports = ["-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "9000-9009:9000-9009", "-p", "8082:80/udp"]
    paths = world.containers(
        web=["--network", "app", *ports],
        only4=["--network", "guarded", "-p", "8083:80"],
        open=["--network", "routed", "-p", "8084:80", "-p", "8100-8109:8100-8109"],
        hidden=["--network", "enclosed"],
        db=["--expose", "80", "--expose", "5000-15000/udp"],
    )
    paths |= world.containers(client=["--link", "db:store"], other=["--network", "bridge"])
    for name in ("web", "only4", "db"):
        world.serve(paths[name], 80)
    world.hawse("network", "create", "last")
    yield paths
    del os.environ["HAWSE_CONFIG"]


def tables(world) -> list[str]:
    """Return the firewall rules as sorted lines of text, without handles, because a handle changes with each repair."""
    objects = json.loads(world.host.sh("nft -j list ruleset"))["nftables"]
    entries = [entry for o in objects for kind in o if kind != "metainfo" for entry in _flat(kind, o[kind])]
    return sorted(json.dumps(entry, sort_keys=True) for entry in entries)


def _flat(kind: str, entry: dict) -> list:
    elements = entry.pop("elem", ())
    entry.pop("handle")
    return [[kind, entry], *([entry["name"], element] for element in elements)]


def settled(world, expected: list[str]) -> list[str]:
    deadline = time.monotonic() + loaded(10)  # the agent restores the firewall in the background
    while (now := tables(world)) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return now


@pytest.fixture
def without_agent(world) -> Iterator[None]:
    """Stop the agent for one test.

    After the test, start an agent and wait until the agent has added its firewall elements.
    """
    pid = json.loads(client.ask(world.host.run_dir, "status", 5))["pid"]
    started = process.start_time(pid)
    (world.host.run_dir / "agent.start").unlink()  # the guard starts an agent again only while this file exists
    os.kill(pid, signal.SIGTERM)
    while process.is_running(pid, started):
        time.sleep(0.02)
    yield
    world.hawse("network", "rm", world.hawse("network", "create", "next"))
    # Wait here, because the last command did not wait for the agent that it started.
    until(lambda: all(any(s in line for line in tables(world)) for s in ('["relay", ["tcp"', "hawse_standby")))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_removed_elements_are_restored_completely(world, scenario, loss):
    before = tables(world)
    world.host.sh(loss)
    assert settled(world, before) == before


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_without_an_agent_the_next_command_brings_it_back(world, scenario, without_agent, loss):
    before = tables(world)
    world.host.sh(loss)
    assert tables(world) != before
    world.host.hawse(code=REPAIR)
    assert tables(world) == before


def test_elements_are_restored_soon_after_a_command_held_the_store(world, scenario):
    before = tables(world)
    with SqliteStore(world.host.root / "hawse.db").write():
        world.host.sh("nft flush map inet hawse any4")
        time.sleep(BUSY_SECONDS + 1)
    assert settled(world, before) == before


def test_restored_ports_work(world, scenario):
    before = tables(world)
    world.host.sh("nft flush ruleset")
    assert settled(world, before) == before
    for address, port in ((HOST, 8080), (HOST6, 8080), (HOST, 8083), (HOST6, 8083)):
        assert world.reaches(world.peer.path, address, port)
    db = json.loads(world.hawse("inspect", "db"))[0]["NetworkSettings"]["IPAddress"]
    assert world.reaches(world.paths("client")["client"], db, 80)
    assert world.silent(world.question(scenario["other"], db, 80), world.question(world.peer.path, HOST, 8081))


def test_a_link_follows_its_restarted_and_renamed_target(world, scenario):
    world.hawse("stop", "-t", "0", "db")
    world.containers(squatter=["--network", "bridge"])
    world.hawse("start", "db")
    world.hawse("rename", "db", "renamed")
    db = json.loads(world.hawse("inspect", "renamed"))[0]["NetworkSettings"]["IPAddress"]
    assert f"{db}\tstore " in world.hawse("exec", "client", "cat", "/etc/hosts")
    world.serve(world.paths("renamed")["renamed"], 80)
    assert world.reaches(scenario["client"], db, 80)
    assert world.silent(world.question(scenario["other"], db, 80))
    world.hawse("restart", "-t", "0", "client")
    assert world.reaches(world.paths("client")["client"], db, 80)
    assert "store" in world.hawse("exec", "client", "cat", "/etc/hosts")
    world.hawse("rename", "renamed", "db")
    world.hawse("rm", "-f", "squatter")


def test_a_repair_restores_nothing_of_leaving_endpoints(world, scenario):
    world.containers(leaving=["--network", "app", "-p", "8090:80", "-p", "9100-9109:9100-9109"])
    assert any("8090" in line for line in tables(world))
    world.host.hawse("rm", "-f", "leaving", code=REPAIR_WHILE_LEAVING)
    assert not [line for line in tables(world) if re.search(r"\b(8090|9100)\b", line)]  # a bridge's name has digits too
    assert any("8080" in line for line in tables(world)), "the others' came back"
