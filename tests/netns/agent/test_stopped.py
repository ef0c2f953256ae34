"""A resident process is stopped (SIGSTOP). No command waits long, and the process is replaced.

The guard is stopped too, so that the commands themselves must detect the stopped process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from drivers.linux.process import is_stopped
from tests.conftest import CHECKOUT, loaded, new_host, until
from tests.netns.agent.test_guard import healed, pid_of

pytestmark = pytest.mark.netns

READERS = [
    ["ps", "-a"],
    ["network", "ls"],
    ["network", "inspect", "app"],
    ["inspect", "web"],
    ["port", "web"],
    ["logs", "web"],
    ["wait", "ended"],
]
CHANGES = [
    ["run", "-d", "--name", "new", "--network", "app", "hostfs", "sleep", "1000"],
    ["exec", "web", "true"],
    ["stop", "-t", "0", "new"],
    ["start", "new"],
    ["kill", "new"],
    ["rm", "-f", "new"],
    ["network", "create", "other"],
    ["network", "connect", "other", "web"],
    ["network", "disconnect", "other", "web"],
    ["network", "rm", "other"],
]


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A host with a running container and an ended one. No test changes them."""
    with new_host(tmp_path_factory.mktemp("busy"), ipv6=False) as host:
        host.hawse("network", "create", "app")
        host.hawse("run", "-d", "--name", "web", "-p", "8080:80", "--network", "app", "hostfs", "sleep", "1000")
        host.hawse("run", "--name", "ended", "hostfs", "sh", "-c", "exit 3", check=False)
        yield host


def stop(host, *names: str) -> None:
    for name in names:
        pid = pid_of(host, name)
        if pid:
            os.kill(pid, signal.SIGSTOP)


@pytest.mark.parametrize("victim", ["supervisor", "agent"])
@pytest.mark.parametrize("verbs", [READERS, CHANGES], ids=["readers", "changes"])
def test_no_command_waits_for_a_stopped_process(busy, victim, verbs):
    for verb in verbs:
        healed(busy)
        stop(busy, "guard", victim)
        began = time.monotonic()
        busy.hawse(*verb)
        seconds = time.monotonic() - began
        print(f"{victim} stopped: {' '.join(verb[:2])}: {seconds:.2f} s")
        assert seconds < loaded(6)
        for name in ("guard", victim):
            if pid := pid_of(busy, name):
                os.kill(pid, signal.SIGCONT)


def test_attach_does_not_wait_for_a_stopped_supervisor(busy):
    busy.hawse("run", "-d", "--name", "attached", "hostfs", "sleep", "1000")
    healed(busy)
    stop(busy, "guard", "supervisor")
    before = pid_of(busy, "supervisor")
    attached = subprocess.Popen(busy.command("attach", "attached"), env=busy.env(), stdout=subprocess.PIPE)
    try:
        until(lambda: pid_of(busy, "supervisor") not in (0, before), seconds=5)
        busy.hawse("kill", "attached")
        assert attached.wait(10) == 137
    finally:
        attached.kill()
        attached.wait()
    busy.hawse("rm", "attached")


STOPPED = """
import os, signal, sys
from engine.runtime import resident
run, name = sys.argv[1:]
os.makedirs(run, mode=0o700, exist_ok=True)
lock, claimed = resident.open_lock(run, f"{name}.lock"), resident.claim(run, f"{name}.sock")
assert claimed is not None and resident.try_lock(lock)
resident.sign(lock)
os.kill(os.getpid(), signal.SIGSTOP)
"""
"""A program that begins as a supervisor or an agent does. A signal stops it before it listens."""


@pytest.mark.parametrize("name", ["supervisor", "agent"])
def test_a_process_that_was_stopped_before_it_listened_is_replaced(host, name):
    program = [sys.executable, "-c", STOPPED, str(host.run_dir), name]
    with host.popen(*program, env=host.env(), cwd=CHECKOUT) as stopped:
        try:
            until(lambda: is_stopped(stopped.pid))
            host.hawse("network", "create", "app")
            host.hawse("run", "-d", "--network", "app", "hostfs", "sleep", "1000")
            assert stopped.wait(10) == -signal.SIGKILL
            until(lambda: pid_of(host, name))
        finally:
            stopped.kill()


def test_the_guard_replaces_an_agent_that_was_stopped_before_it_listened(busy):
    healed(busy)
    record = busy.run_dir / "agent.start"
    text = record.read_text()
    argv = [sys.executable, "-c", STOPPED, str(busy.run_dir), "agent"]
    environment = {**json.loads(text)["env"], "PYTHONPATH": str(CHECKOUT)}
    record.write_text(json.dumps({**json.loads(text), "argv": argv, "env": environment}))
    before = pid_of(busy, "agent")
    os.kill(before, signal.SIGKILL)
    until(lambda: pid_of(busy, "agent") not in (0, before), pause=0.001)
    record.write_text(text)
    healed(busy)
