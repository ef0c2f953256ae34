"""A resident process is stopped (SIGSTOP). No command waits long, and the process is replaced.

The guard is stopped too, so that the commands themselves must detect the stopped process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.conftest import loaded, new_host, until
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
