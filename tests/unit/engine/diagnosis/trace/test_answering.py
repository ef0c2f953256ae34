"""The answer to another host says that a process listens only if the check of the port proved it."""

from types import SimpleNamespace

import pytest

from drivers.errors import DriverError
from engine.cluster.model import Question
from engine.diagnosis.trace import answering
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.other_host import CULPRITS_LIMIT
from engine.diagnosis.trace.records import Place

QUESTION = Question("n", "net", "e1", "e2", "tcp", 80, 4)
FAULT = Culprit("mtu", "br0", "host", "", "")
SILENT = Culprit("port-not-listening", "port 80/tcp of web", "container web", "", "")


def member(address):
    return SimpleNamespace(endpoint=SimpleNamespace(interface="eth0", ipv4=address, ipv6="", link_local=()))


def hops(monkeypatch, *, faults=0, listening=lambda: ()):
    checks = SimpleNamespace(ignores_ping=lambda: (), listening=listening, duplicates=lambda *, sending: ())
    side = SimpleNamespace(
        devices=lambda _: [FAULT] * faults,
        own_address="",
        node_of=lambda _: None,
        moved_port=lambda _: None,
        dropped_in_network=lambda *_: None,
        small_underlay=lambda _: None,
        narrow_interface=lambda _: None,
    )
    monkeypatch.setattr(answering, "of_container", lambda *_: Place("container", "web"))
    monkeypatch.setattr(answering, "State", lambda *_: None)
    monkeypatch.setattr(answering, "Explanation", lambda *_: SimpleNamespace(faults=lambda: ()))
    monkeypatch.setattr(answering, "Checks", lambda *_: checks)
    monkeypatch.setattr(answering.rules, "dropping_at_target", lambda *_: None)
    records = SimpleNamespace(container_of=lambda _: object())
    ends = member("10.0.0.2/24"), member("10.0.0.3/24")
    report = answering._examined(None, None, records, side, QUESTION, *ends)
    return [(hop.what, hop.detail) for hop in report.hops if hop.what.startswith("port ")]


def failing():
    raise DriverError("the namespace is gone")


def test_a_process_listens_only_if_the_check_proved_it(monkeypatch):
    assert hops(monkeypatch) == [("port 80/tcp", "a process listens")]
    assert hops(monkeypatch, faults=1) == [("port 80/tcp", "a process listens")]
    assert hops(monkeypatch, listening=lambda: [SILENT]) == []


@pytest.mark.parametrize("case", [{"faults": CULPRITS_LIMIT}, {"listening": failing}], ids=["faults", "error"])
def test_nothing_is_said_about_the_port_if_its_check_did_not_run(monkeypatch, case):
    assert hops(monkeypatch, **case) == []
