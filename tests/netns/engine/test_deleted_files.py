"""HAWSE_RUN, or a part of it, is deleted while containers run: the resident processes restore it within a second."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.linux import process
from tests.conftest import loaded, until

pytestmark = pytest.mark.netns
GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=2).status)"
SERVER = (sys.executable, "-m", "http.server", "80")
TALKING = ("sh", "-c", "while :; do date +%s; sleep 0.1; done")
REPAIR_SECONDS = 1.0 if os.cpu_count() > 4 else 3.0  # longer on a small machine, which may be busy


@pytest.fixture
def rootfs(tmp_path):
    """A root file system with busybox, for a container that crun runs."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    programs = tmp_path / "rootfs" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(busybox, programs)
    for name in ("sh", "sleep", "date", "cat", "grep"):
        (programs / name).symlink_to("busybox")
    return str(tmp_path / "rootfs")


@pytest.fixture
def busy(host, rootfs):
    """A host with containers of every kind on a network."""
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "web", "--network", "app", "-p", "8080:80", "hostfs", *SERVER)
    host.hawse("run", "-d", "--name", "talk", "--network", "app", "hostfs", *TALKING)
    host.hawse("run", "-d", "--name", "own", "--network", "app", rootfs, *TALKING)
    host.hawse("run", "-d", "--name", "alone", "--network", "none", "hostfs", "sleep", "1d")
    return host


def residents(host):
    """Return the pids of the host's agent and supervisor."""
    pids = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            mine = f"HAWSE_RUN={host.run_dir}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mine and (b"engine.agentd" in words or b"engine.runtime.supervisor" in words):
            pids.add(int(pid))
    return pids


LATER = ("pid", "stdout", "stderr", "agent.start", "supervisor.start")
"""Names of files that `tree` leaves out, because they may be restored later. The last two take some seconds."""


def tree(host):
    """Return the files in HAWSE_RUN that must exist while containers run, and the targets of links."""
    kept = {}
    for path in host.run_dir.rglob("*"):
        name = path.relative_to(host.run_dir).as_posix()
        if not (name.startswith(("locks", "crun/.cache", "warm", "guard")) or path.name in LATER):
            kept[name] = os.readlink(path) if path.is_symlink() else ""
    return kept


def wipe(path):
    subprocess.run(["rm", "-rf", str(path)], check=True)


def logged(host, container):
    return int(host.hawse("logs", "--tail", "1", container).stdout.split()[-1])  # a line may come during the reading


def test_deleted_files_are_restored_within_a_second(busy):
    before, pids = tree(busy), residents(busy)
    for part in ("netns", "containers", "crun", "agent.log", "."):
        wipe(busy.run_dir / part)
        began = time.monotonic()
        until(lambda: tree(busy) == before)
        assert time.monotonic() - began < loaded(REPAIR_SECONDS), part
    assert residents(busy) == pids


def test_everything_works_on_the_containers_that_ran(busy, peer, tmp_path):
    pids = residents(busy)
    wipe(busy.run_dir)
    for container in ("web", "talk", "own"):
        assert busy.hawse("exec", container, "cat", "/etc/hosts").stdout.endswith("\n")  # although its file is deleted
    assert busy.hawse("exec", "talk", "getent", "hosts", "web").stdout.endswith("web\n")
    assert "Seccomp:\t2" in busy.hawse("exec", "own", "grep", "Seccomp:", "/proc/self/status").stdout
    assert peer.run(sys.executable, "-c", GET, f"http://{busy.address}:8080").stdout == "200\n"
    assert busy.hawse("port", "web", "80/tcp").stdout.startswith("0.0.0.0:8080\n")
    now = time.time()
    until(lambda: logged(busy, "talk") >= now and logged(busy, "own") >= now)
    busy.hawse("network", "create", "more")
    busy.hawse("network", "connect", "more", "talk")
    assert residents(busy) == pids
    wipe(busy.run_dir)
    busy.hawse("stop", "-t0", "talk")
    assert busy.hawse("inspect", "-f", "{{.State.ExitCode}}", "talk").stdout == "137\n"
    wipe(busy.run_dir)
    busy.hawse("rm", "-f", "own")
    names = sorted(busy.hawse("ps", "--format", "{{.Names}}").stdout.split())
    assert names == ["alone", "web"]
    busy.hawse("rm", "-f", "web", "talk", "alone")
    until(lambda: not list((busy.run_dir / "containers").iterdir()))
    assert list((busy.run_dir / "netns").iterdir()) == []


def test_commands_wait_for_the_files_of_one_container(busy):
    """Only the files of one container are deleted, so that the supervisor still answers at once."""
    identity = busy.hawse("inspect", "-f", "{{.Id}}", "talk").stdout.strip()
    wipe(busy.run_dir / "containers" / identity)
    busy.hawse("exec", "talk", "true")
    wipe(busy.run_dir / "containers" / identity)
    busy.hawse("stop", "-t0", "talk")
    assert busy.hawse("inspect", "-f", "{{.State.ExitCode}}", "talk").stdout == "137\n"


def test_the_next_supervisor_continues_the_logs(busy):
    before = tree(busy)
    wipe(busy.run_dir)
    until(lambda: tree(busy) == before)
    (supervisor,) = [p for p in residents(busy) if b"supervisor" in Path(f"/proc/{p}/cmdline").read_bytes()]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not process.is_running(supervisor, process.start_time(supervisor)))
    busy.hawse("run", "--rm", "hostfs", "true")
    now = time.time()
    until(lambda: logged(busy, "talk") >= now and logged(busy, "own") >= now)
