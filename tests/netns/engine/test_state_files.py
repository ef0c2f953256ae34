"""State files can be read by root only. The commands that free disk space must work on a full disk."""

import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from engine.runtime import syscalls
from tests.commands import COLD

pytestmark = pytest.mark.netns


def test_only_root_can_use_the_directories(host):
    """Only root can use hawse's directories, including the parent directories that hawse had to create."""
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--network", "app", "-p", "7000:70", "hostfs", "sleep", "1d")
    places = [host.state / "h1", *host.root.rglob("*"), *host.run_dir.rglob("*")]
    open_to_others = [p for p in places if p.is_dir() and not p.is_symlink() and stat.S_IMODE(p.stat().st_mode) & 0o77]
    assert open_to_others == []


@pytest.fixture
def small_disk(host):
    """A host whose HAWSE_ROOT is on a separate file system of 3 MB."""
    host.root.mkdir(parents=True)
    syscalls.mount("small", str(host.root), "tmpfs", data="size=3m,mode=700")
    yield host.root
    syscalls.unmount(str(host.root))


def test_a_full_disk_does_not_prevent_removals(host, small_disk):
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "one", "--network", "app", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "loud", "--network", "app", "hostfs", "sh", "-c", "yes >&2")
    fill(small_disk / "fill")
    host.hawse("stop", "-t0", "one")
    host.hawse("rm", "-f", "loud")
    host.hawse("rm", "one")
    host.hawse("network", "rm", "app")
    assert host.hawse("ps", "-aq").stdout == ""


def test_a_full_disk_is_reported_in_one_line(host, small_disk):
    host.launcher = COLD  # with a warm server, SQLite's log keeps its space, and some commands succeed
    host.hawse("create", "--name", "made", "hostfs", "true")
    fill(small_disk / "fill")
    for command, code in ((("run", "hostfs", "true"), 125), (("start", "made"), 1), (("create", "hostfs", "true"), 1)):
        refused = host.hawse(*command, check=False)
        assert "internal error" not in refused.stderr and "Traceback" not in refused.stderr
        if refused.returncode:
            assert refused.returncode == code
            assert "Error response from daemon: " in refused.stderr
            assert "no space left on device" in refused.stderr or "the disk is full" in refused.stderr
    assert host.hawse("ps", "-a", "--format", "{{.Names}}").stdout == "made\n"


def test_full_disk_refuses_new_objects_and_never_a_removal(host, small_disk):
    """A refused command uses no space of the store's log, so changes and removals always work."""
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1d")
    host.hawse("create", "--name", "made", "hostfs", "true")
    refused = [(1, "network", "create", "new"), (125, "run", "--rm", "--network", "app", "hostfs", "true")]
    fill(small_disk / "fill")
    before = host.sh("ip -br link | cut -d' ' -f1")
    for code, *command in refused:
        result = host.hawse(*command, check=False)
        assert result.returncode == code
        assert f"the store {host.root}/hawse.db cannot be written: the disk is full" in result.stderr
    assert host.sh("ip -br link | cut -d' ' -f1") == before
    for _ in range(2):
        host.hawse("rename", "web", "other")
        host.hawse("rename", "other", "web")
    for command in (
        ("restart", "-t0", "web"),
        ("kill", "web"),
        ("rm", "web"),
        ("rm", "made"),
        ("network", "rm", "app"),
    ):
        fill(small_disk / "fill")
        host.hawse(*command)
    assert host.hawse("ps", "-aq").stdout + host.hawse("network", "ls", "-qf", "type=custom").stdout == ""


def test_a_start_that_a_full_disk_prevents_is_recorded_and_removes_a_container_with_rm(host):
    """The disk of HAWSE_RUN is full, and later the disk of HAWSE_ROOT/containers. The store's disk has space."""
    for place in (host.run_dir, host.root / "containers"):
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
        syscalls.mount("small", str(place), "tmpfs", data="size=3m,mode=700")
        try:
            fill(place / "fill")
            for options in (("--rm",), ("--name", "kept")):
                failed = host.hawse("run", *options, "hostfs", "true", check=False)
                assert failed.returncode == 125
                assert f"Error response from daemon: write {place}: no space left on device." in failed.stderr
            assert host.hawse("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "kept created\n"
            assert "no space left" in host.hawse("inspect", "-f", "{{.State.Error}}", "kept").stdout
            (place / "fill").unlink()
            host.hawse("start", "kept")
            host.hawse("rm", "-f", "kept")
        finally:
            syscalls.unmount(str(place))


def test_containers_on_a_mount_of_their_own_are_removed(host):
    (host.root / "containers").mkdir(parents=True)
    syscalls.mount("own", str(host.root / "containers"), "tmpfs", data="mode=700")
    try:
        host.hawse("run", "--name", "web", "hostfs", "true")
        assert host.hawse("rm", "web").stdout == "web\n"
        assert [p.name for p in (host.root / "containers").iterdir()] == [".discarded"]
        deadline = time.monotonic() + 10
        while list((host.root / "containers" / ".discarded").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list((host.root / "containers" / ".discarded").iterdir()) == []
    finally:
        syscalls.unmount(str(host.root / "containers"))


def fill(path: Path) -> None:
    with open(path, "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert os.statvfs(path).f_bfree == 0


def test_a_lost_run_directory_does_not_prevent_stop_and_remove(host):
    """A user deletes the run directory, as with `rm -r /run/hawse`. Containers can still be stopped and removed."""
    pids = []
    for name in ("one", "two", "three"):
        host.hawse("run", "-d", "--name", name, "hostfs", "sleep", "1d")
        pids.append(int(host.hawse("inspect", "-f", "{{.State.Pid}}", name).stdout))
    while host.run_dir.exists():
        shutil.rmtree(host.run_dir, ignore_errors=True)  # ignore errors, because the warm server may add files
    assert host.hawse("stop", "-t0", "one").stdout == "one\n"
    assert host.hawse("kill", "two").stdout == "two\n"
    assert host.hawse("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.split("\n") == [
        "three running",
        "two exited",
        "one exited",
        "",
    ]
    host.hawse("rm", "-f", "three")
    assert [pid for pid in pids if is_running(pid)] == []
    host.hawse("start", "one")
    assert host.hawse("exec", "one", "echo", "here").stdout == "here\n"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_commands_work_with_any_text_in_a_containers_hosts_file(host):
    """A container may write any bytes into its own hosts file, for example invalid text or more text than hawse edits.

    hawse's commands must work even with such a hosts file.
    """
    for name in ("app", "zoo"):
        host.hawse("network", "create", name)
    script = "printf '\\377\\n' | tee -a /etc/resolv.conf >> /etc/hosts; sleep 1d"
    host.hawse("run", "-d", "--name", "odd", "--network", "app", "hostfs", "sh", "-c", script)
    host.hawse("run", "-d", "--name", "big", "--network", "app", "hostfs", "sleep", "1d")
    host.hawse("exec", "big", "sh", "-c", "head -c 3000000 /dev/zero >> /etc/hosts")
    for name in ("odd", "big"):
        host.hawse("network", "connect", "zoo", name)
        host.hawse("network", "disconnect", "zoo", name)
    kept = next(host.root.glob(f"containers/{host.hawse('inspect', '-f', '{{.Id}}', 'odd').stdout.strip()}/hosts"))
    assert b"\xff\n" in kept.read_bytes()
