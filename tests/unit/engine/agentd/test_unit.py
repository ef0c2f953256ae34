"""The tests check the agent as the main process of a systemd unit: watchdog, lock and start record."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from engine.agent import client
from engine.agentd.unit import Unit
from engine.eventloop.loop import Loop
from engine.runtime import guarded
from tests.conftest import loaded


@pytest.fixture
def notices(tmp_path, monkeypatch):
    """Yield a socket that receives what this process tells systemd; make this process the main process of a unit."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
        yield systemd


def test_the_loop_notifies_systemd_twice_in_each_watchdog_interval(notices):
    loop = Loop()
    Unit().keep_watchdog_quiet(loop)
    loop.after(0.33, loop.stop)
    loop.run()
    notices.settimeout(0)
    reports = []
    while len(reports) < 7:
        try:
            reports.append(notices.recv(64))
        except BlockingIOError:
            break
    assert reports[0] == b"WATCHDOG=1"
    assert 5 <= len(reports) <= 7


def test_a_unit_waits_for_the_agent_that_runs_and_reports_meanwhile(notices, tmp_path):
    other = client.take_lock(tmp_path)
    began = time.monotonic()
    threading.Timer(0.3, os.close, [other]).start()
    assert Unit().take_lock(tmp_path) is not None
    assert 0.3 <= time.monotonic() - began < loaded(5)
    assert notices.recv(64) == b"WATCHDOG=1"


def test_without_systemd_an_agent_that_runs_is_not_awaited(tmp_path):
    first = Unit().take_lock(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / client.SOCKET))
        listener.listen()
        assert Unit().take_lock(tmp_path) is None
    os.close(first)


def test_an_agent_that_ends_is_awaited(tmp_path):
    lock, began = Unit().take_lock(tmp_path), time.monotonic()
    threading.Timer(0.3, os.close, [lock]).start()
    assert Unit().take_lock(tmp_path) is not None
    assert 0.3 <= time.monotonic() - began < loaded(2)


def test_the_start_record_has_no_variables_that_systemd_set_for_one_process(notices, tmp_path):
    guarded.save(str(tmp_path), "agent")
    record = guarded.load(str(tmp_path), "agent")
    assert record["delay"] == guarded.SYSTEMD_DELAY_SECONDS
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "SYSTEMD_EXEC_PID"} & record["env"].keys()
    guarded.forget(str(tmp_path), "agent")
    assert not guarded.is_saved(str(tmp_path), "agent")
