"""Resident processes and containers do not have the limits and the priority of the command that started them."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

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


def test_the_shell_of_the_first_command_does_not_decide_for_agent_supervisor_guard_and_containers(host):
    host.launcher = COLD  # a warm server's child has the limits of the server while it starts
    run = host.command("run", "-d", "--name", "web", "hostfs", "sleep", "1000")
    subprocess.run([*FIRST, *run], env=host.env(), check=True, capture_output=True)
    healed(host)
    container = int(host.hawse("inspect", "-f", "{{.State.Pid}}", "web").stdout)
    processes = {**{name: pid_of(host, name) for name in ("agent", "supervisor", "guard")}, "container": container}
    init = attributes_of(1)
    assert {name: attributes_of(pid) for name, pid in processes.items()} == dict.fromkeys(processes, init)
    assert resource.prlimit(container, resource.RLIMIT_NOFILE)[0] >= 1024
