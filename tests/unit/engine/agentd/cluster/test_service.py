"""The cluster service checks a manager's processes at intervals, also if the host leaves and joins again."""

from __future__ import annotations

from types import SimpleNamespace

from engine.agent.service import Snapshot
from engine.agentd.cluster import node
from engine.agentd.cluster.service import ClusterService
from engine.cluster import membership as memberships


class Node:
    """A double of `ClusterNode`. It records the node whose processes were kept."""

    kept: list[str]

    def __init__(self, _root, _run, membership, _wake, _heal):
        self.node_id = membership.node_id

    def keep_processes(self):
        self.kept.append(self.node_id)

    def follow(self, state):
        pass

    def close(self):
        pass


def test_only_the_processes_of_the_present_node_are_kept(monkeypatch, tmp_path):
    members = iter([SimpleNamespace(node_id="first"), None, SimpleNamespace(node_id="second")])
    monkeypatch.setattr(Node, "kept", [], raising=False)
    monkeypatch.setattr(node, "ClusterNode", Node)
    monkeypatch.setattr(memberships, "load", lambda _root: next(members))
    timers = []
    loop = SimpleNamespace(
        watch=lambda *_: None, forget=lambda _: None, after=lambda _seconds, call: timers.append(call)
    )
    made = ClusterService(loop, tmp_path, tmp_path)
    for _ in range(3):
        made.reconcile(Snapshot())
    for call in list(timers):  # both timers are due
        call()
    made.close()
    made._wakeup.send()  # as a thread does that has not ended yet
    assert Node.kept == ["first", "second", "second"]


def test_a_lasting_failure_is_logged_once(capsys, tmp_path):
    made = ClusterService(SimpleNamespace(watch=lambda *_: None, after=lambda *_: None), tmp_path, tmp_path)
    failures = iter(["first", "first", "", "first", "second"])

    def keep_processes():
        if text := next(failures):
            raise OSError(text)

    made._node = SimpleNamespace(keep_processes=keep_processes)
    for _ in range(5):
        made._keep(made._node)
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == ["first", "first", "second"]
