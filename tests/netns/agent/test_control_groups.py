"""Resident processes and containers do not stay in the control group of the command that started them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands import COLD
from tests.conftest import require_root, until
from tests.netns.agent.test_guard import healed, pid_of

pytestmark = pytest.mark.netns

SHARED = "/hawse/shared"
HIERARCHIES = ("", "name=systemd")  # as /proc/PID/cgroup names them


def groups_of(pid: int) -> dict[str, str]:
    """Return the control groups of a process by the name of their hierarchy."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return {name: path for _, name, path in lines if name in HIERARCHIES}


@pytest.fixture
def unit() -> Iterator[list[Path]]:
    """The directories of a new control group in each hierarchy. It acts as the control group of a systemd unit."""
    require_root()
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    roots = [Path(m[1]) for m in mounts if m[2] == "cgroup2" or (m[2] == "cgroup" and "name=systemd" in m[3])]
    made = [root / f"hwt{os.getpid()}" for root in roots]
    try:
        for directory in made:
            directory.mkdir()
    except OSError:
        pytest.skip("control groups cannot be created here")
    if not made:
        pytest.skip("no hierarchy of control groups is mounted")
    yield made
    for directory in made:
        until(lambda directory=directory: not (directory / "cgroup.procs").read_text())
        directory.rmdir()
        with suppress(OSError):  # processes of another test host use the group
            (directory.parent / "hawse/shared").rmdir()
            (directory.parent / "hawse").rmdir()


def test_the_end_of_the_unit_that_ran_the_first_command_kills_no_process(unit, host):
    host.launcher = COLD  # a warm server's child is in the control group of the server
    enter = "".join(f"echo 0 > {directory}/cgroup.procs; " for directory in unit)
    run = host.command("run", "-d", "--name", "web", "hostfs", "sleep", "1000")
    host.hawse("network", "create", "app")
    subprocess.run(["sh", "-c", f'{enter} exec "$@"', "sh", *run], env=host.env(), check=True, capture_output=True)
    healed(host)
    container = int(host.hawse("inspect", "-f", "{{.State.Pid}}", "web").stdout)
    moved = [pid_of(host, "supervisor"), container]
    assert [set(groups_of(pid).values()) for pid in moved] == [{SHARED}] * 2
    for directory in unit:  # kill the unit's processes, as systemd does
        for pid in (directory / "cgroup.procs").read_text().split():
            os.kill(int(pid), 9)
    time.sleep(0.2)
    assert "Up" in host.hawse("ps").stdout


def test_a_process_in_the_root_group_stays_there(host):
    if set(groups_of(os.getpid()).values()) != {"/"}:
        pytest.skip("this test runs in a control group")
    host.hawse("run", "-d", "--name", "web", "hostfs", "sleep", "1000")
    assert set(groups_of(pid_of(host, "supervisor")).values()) == {"/"}
