"""The agent as the main process of a systemd unit. Such an agent also runs when no network needs it.

systemd starts and ends the agent. The guard starts a killed agent only if systemd does not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from engine.runtime import guarded
from tests.conftest import until
from tests.installation import CHECKOUT
from tests.netns.agent.test_guard import agent, pid_of

pytestmark = pytest.mark.netns

AS_UNIT = ["sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh", sys.executable, "-P", "-m", "engine.agentd"]


@pytest.fixture
def unit(host):
    """The main process of the agent's unit, on a host without networks."""
    process = host.popen(*AS_UNIT, env=host.env(HAWSE_AGENT_IDLE="0.2"), cwd=CHECKOUT)
    until(lambda: agent(host) == process.pid)
    yield process
    process.kill()
    process.wait()


def test_an_idle_unit_keeps_running_and_nothing_starts_an_agent_after_its_end(host, unit):
    until(lambda: pid_of(host, "guard"))
    time.sleep(1.2)
    assert unit.poll() is None
    unit.send_signal(signal.SIGTERM)
    assert unit.wait(10) == 0
    until(lambda: not pid_of(host, "guard"))
    assert not agent(host)
    assert not guarded.is_saved(str(host.run_dir), guarded.AGENT)


def test_systemd_is_first_to_restart_a_killed_unit(host, unit):
    host.hawse("network", "create", "app")
    until(lambda: pid_of(host, "guard"))
    time.sleep(1.2)  # until the guard has connected
    unit.kill()
    unit.wait()
    time.sleep(guarded.SYSTEMD_DELAY_SECONDS / 4)
    assert not agent(host)
    successor = host.popen(*AS_UNIT, env=host.env(), cwd=CHECKOUT)
    try:
        until(lambda: agent(host) == successor.pid)
        waiting = host.popen(*AS_UNIT, env=host.env(), cwd=CHECKOUT)  # an agent runs, so this unit waits
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
        os.kill(waiting.pid, signal.SIGTERM)
        waiting.wait()
    finally:
        successor.kill()
        successor.wait()
    until(lambda: agent(host))  # systemd does nothing here, so the guard starts an agent
