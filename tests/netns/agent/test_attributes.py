"""Resident processes and containers do not have the limits and the priority of the command that started them."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from engine.runtime import attributes
from tests.commands import COLD
from tests.netns.agent.test_guard import healed, pid_of

pytestmark = pytest.mark.netns

FIRST = ("prlimit", "--cpu=60:", "--fsize=1000000:", "--nofile=64:", "nice", "-n", "5", "taskset", "-c", "0")
"""A shell's settings for the first command: soft limits, a low priority, one processor."""


def attributes_of(pid: int) -> tuple[object, ...]:
    """Return the limits, the priority, the processors and the OOM score adjustment of a process."""
    limits = [resource.prlimit(pid, kind)[0] for kind in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)]
    score = Path(f"/proc/{pid}/oom_score_adj").read_text()
    return *limits, os.getpriority(os.PRIO_PROCESS, pid), os.sched_getaffinity(pid), score


def priority_of_child(pid: int) -> int:
    """Return the nice value that a new child of a process gets (sched(7), SCHED_RESET_ON_FORK)."""
    value = os.getpriority(os.PRIO_PROCESS, pid)
    return max(value, 0) if os.sched_getscheduler(pid) & os.SCHED_RESET_ON_FORK else value


@pytest.mark.parametrize(("policy", "nice"), [(os.SCHED_OTHER, -7), (os.SCHED_FIFO, -7), (os.SCHED_FIFO, 7)])
def test_a_service_has_the_schedule_of_a_child_of_an_init_that_resets_it(monkeypatch, policy, nice):
    init = subprocess.Popen(["sleep", "60"])
    reader, writer = os.pipe()
    try:
        os.setpriority(os.PRIO_PROCESS, init.pid, nice)
        flags = policy | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(init.pid, flags, os.sched_param(int(policy == os.SCHED_FIFO)))
        monkeypatch.setattr(attributes, "INIT", init.pid)
        child = os.fork()
        if child == 0:
            try:
                attributes.become_service()
                os.write(writer, f"{os.sched_getscheduler(0)} {os.getpriority(os.PRIO_PROCESS, 0)}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 100).decode() == f"{os.SCHED_OTHER} 0"
    finally:
        os.close(reader)
        os.close(writer)
        init.kill()
        init.wait()


def test_the_shell_of_the_first_command_does_not_decide_for_agent_supervisor_guard_and_containers(host):
    host.launcher = COLD  # a warm server's child has the limits of the server while it starts
    run = host.command("run", "-d", "--name", "web", "hostfs", "sleep", "1000")
    subprocess.run([*FIRST, *run], env=host.env(), check=True, capture_output=True)
    healed(host)
    container = int(host.hawse("inspect", "-f", "{{.State.Pid}}", "web").stdout)
    processes = {**{name: pid_of(host, name) for name in ("agent", "supervisor", "guard")}, "container": container}
    service = (*attributes_of(1)[:2], priority_of_child(1), *attributes_of(1)[3:])
    assert {name: attributes_of(pid) for name, pid in processes.items()} == dict.fromkeys(processes, service)
    assert resource.prlimit(container, resource.RLIMIT_NOFILE)[0] >= 1024
