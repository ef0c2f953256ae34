"""The tests check the agent when its store is deleted or cannot be read, and while a service waits for an update."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from drivers.linux.process import start_time
from engine.agentd import agent as agents
from engine.agentd.agent import Agent
from engine.errors import Damaged, Unavailable
from engine.eventloop.loop import Loop
from engine.model import ContainerConfig, ContainerRecord, HostConfig, NetworkRecord
from engine.store import sqlite
from engine.store.sqlite import SqliteStore


class Seen:
    """A double of a service of the agent. It records the names of the networks in each snapshot of the store."""

    name = "seen"

    def __init__(self):
        self.states = []

    def reconcile(self, state):
        self.states.append([network.name for network in state.networks])

    def needed(self):
        return True

    def close(self):
        pass


def test_services_keep_the_state_of_a_deleted_store_as_long_as_a_container_runs(tmp_path):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as running:
        container = ContainerRecord(
            "b", "web", "", ContainerConfig("hostfs"), HostConfig(), status="running", pid=running.pid,
            pid_start=start_time(running.pid),
        )  # fmt: skip
        agent, store, seen = of_deleted_store(tmp_path, NetworkRecord("a", "app", "", "bridge"), container)
        with pytest.raises(Damaged, match="the agent goes on with the last state"):
            agent.reconcile()
        running.communicate()
    agent.reconcile()
    with store.write() as tx:
        tx.put_network(NetworkRecord("a", "again", "", "bridge"))
    agent.reconcile()
    assert seen.states == [[], ["app"], [], ["again"]]


def test_services_keep_the_state_of_a_deleted_store_for_the_peers_in_a_cluster(tmp_path):
    agent, _, seen = of_deleted_store(tmp_path, NetworkRecord("a", "app", "", "overlay", scope="swarm"))
    with pytest.raises(Damaged, match="the agent goes on with the last state"):
        agent.reconcile()
    assert seen.states == [[], ["app"]]


def of_deleted_store(path, network, *containers):
    """Return an agent whose store was deleted after the agent had read it, the store, and the agent's service."""
    store, seen = SqliteStore(path / "hawse.db"), Seen()
    agent = Agent(Loop(), store, [seen], socket.socket(socket.AF_UNIX))
    agent.reconcile()
    with store.write() as tx:
        tx.put_network(network)
        for container in containers:
            tx.put_container(container)
    agent.reconcile()
    sqlite.close_idle()
    for file in path.glob("hawse.db*"):
        file.unlink()
    return agent, store, seen


def test_the_agent_stays_while_a_service_is_still_to_be_updated(tmp_path):
    class NeededWithNetworks(Seen):
        def needed(self):
            return bool(self.states and self.states[-1])

    store, later = SqliteStore(tmp_path / "hawse.db"), NeededWithNetworks()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "sock"))
    listener.listen()
    loop = Loop()
    agent = Agent(loop, store, [], listener, later=[later])
    with store.write() as tx:
        tx.set_meta("key", "value")
    time.sleep(2 * sqlite.TICK_NANOSECONDS / 1e9)  # the agent does not trust the stamp of a store that was just written
    agent.reconcile()
    loop.turn(1)
    agent._consider()  # finds nothing that needs the agent
    assert later.states == [[]] and agent._quiet == 1
    with store.write() as tx:
        tx.put_network(NetworkRecord("a", "app", "", "bridge"))
    agent._consider()  # reads the store, which a killed command has changed
    assert agent._quiet == 0
    loop.turn(1)
    assert later.states[-1] == ["app"] and agent.needed()
    listener.close()


def test_a_change_is_read_later_when_the_store_cannot_be_read_now(tmp_path, monkeypatch):
    store, seen = SqliteStore(tmp_path / "hawse.db"), Seen()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "sock"))
    listener.listen()
    agent = Agent(Loop(), store, [seen], listener)
    agent.reconcile()
    with store.write() as tx:
        tx.put_network(NetworkRecord("a", "app", "", "bridge"))

    def fail(_store):
        raise Unavailable("the store is locked")

    with monkeypatch.context() as patched:
        patched.setattr(agents, "snapshot", fail)
        with pytest.raises(Unavailable):
            agent.reconcile()
    agent._consider()
    assert seen.states == [[], ["app"]]
    listener.close()
