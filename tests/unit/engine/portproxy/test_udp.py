"""The UDP listener of the port proxy removes idle flows. The tests count its timers, without a running loop."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from engine.eventloop.quota import Quota
from engine.portproxy import udp
from engine.portproxy.udp import DatagramListener
from engine.ports.proxied import Origin

ORIGIN, TARGET = Origin("udp", IPv4Address("127.0.0.1"), 53), ("127.0.0.1", 53)
LOCAL = bytes(15) + b"\1"


class Watcher:
    """A watcher whose timers the test calls."""

    def __init__(self) -> None:
        self.timers = []

    def watch(self, fd, handler):
        """Watch nothing."""

    def forget(self, fd):
        """Forget nothing."""

    def close_socket(self, sock):
        """Close the socket."""
        sock.close()

    def after(self, _seconds, call):
        """Keep the timer for the test."""
        self.timers.append(call)

    def fire(self):
        """Call the timers that are pending now."""
        pending, self.timers = self.timers, []
        for call in pending:
            call()


@pytest.fixture
def targets():
    return {ORIGIN: TARGET}


@pytest.fixture
def listener(targets):
    listener = DatagramListener(Watcher(), targets.get, Quota(100))
    yield listener
    listener.close()


def test_one_timer_at_a_time_removes_idle_flows(listener, targets, monkeypatch):
    watcher = listener._loop
    for number in range(3):
        targets[ORIGIN] = TARGET
        listener._admit(("::1", 4000 + number), LOCAL, ORIGIN, TARGET)
        targets.clear()
        listener.prune()
        assert len(watcher.timers) == 1
    listener._admit(("::1", 5000), LOCAL, ORIGIN, TARGET)
    watcher.fire()
    assert len(watcher.timers) == 1 and len(listener._flows) == 1
    monkeypatch.setattr(udp, "IDLE_SECONDS", -1.0)
    watcher.fire()
    assert watcher.timers == [] and not listener._flows
    listener._admit(("::1", 5001), LOCAL, ORIGIN, TARGET)
    assert len(watcher.timers) == 1
