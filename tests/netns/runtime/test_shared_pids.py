"""Containers with the host's pid namespace leave no process behind."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.linux import namespaces
from engine.runtime import cgroup
from engine.runtime.directory import ContainerDirectory
from tests.conftest import until

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("either")]

DAEMON = "setsid sh -c 'echo $$; exec sleep 4242' & "


def daemon(lab) -> Path:
    """Return the /proc entry of the process that the container's first process started in another session."""
    return Path("/proc") / until(lambda: lab.output("one").strip())


def test_all_processes_end_with_the_first(lab):
    lab.launch("one", "sh", "-c", DAEMON + "exec sleep 4242", pid_host=True)
    entry = daemon(lab)
    assert entry.exists()
    lab.runtime.delete("one")
    until(lambda: not (entry / "exe").exists())


def test_all_processes_end_although_the_first_ends_at_once(lab):
    lab.launch("one", "sh", "-c", DAEMON + "sleep 0.2; exit 3", pid_host=True)
    assert lab.runtime.wait("one", timeout=10) == 3
    entry = daemon(lab)
    until(lambda: not (entry / "exe").exists())


def test_the_next_supervisor_ends_them_too(lab):
    lab.launch("one", "sh", "-c", DAEMON + "exec sleep 4242", pid_host=True)
    entry = daemon(lab)
    lab.kill_supervisor()
    assert lab.runtime.wait("one", timeout=0.2) is None
    lab.runtime.delete("one")
    until(lambda: not (entry / "exe").exists())


def test_other_processes_of_the_host_continue(lab):
    other = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "4242")
    try:
        lab.launch("one", "sleep", "4242", pid_host=True)
        lab.runtime.delete("one")
        assert Path(f"/proc/{other}/exe").exists()
        assert Path(f"/proc/{lab.supervisor_pid()}/exe").exists()
    finally:
        os.kill(other, 9)
        os.waitpid(other, 0)


CHAINS = "import os\nos.fork(); os.fork()\nwhile True:\n if os.fork(): os._exit(0)\n"
"""A program of four chains of processes: each process forks, and its parent exits. A scan of /proc misses them."""


def in_network(held: int) -> list[str]:
    """Return the processes that are in the network namespace of the file descriptor ``held``."""
    found, namespace = [], os.fstat(held)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.path.samestat(os.stat(entry / "ns/net"), namespace):
                found.append(entry.name)
    return found


@pytest.fixture
def groups() -> None:
    """Skip the test where control groups of version 2 cannot be changed or cannot kill."""
    root = namespaces.open_file_system("cgroup2", {})
    try:
        os.mkdir("hawse-test", dir_fd=root)
        os.stat("hawse-test/cgroup.kill", dir_fd=root)
        os.rmdir("hawse-test", dir_fd=root)
    except OSError:
        pytest.skip("control groups cannot be created here")
    finally:
        os.close(root)


@pytest.mark.parametrize("by_exec", [False, True], ids=["run", "exec"])
@pytest.mark.usefixtures("groups")
def test_processes_that_fork_for_ever_end_with_the_first(lab, by_exec):
    program = "sleep 4242" if by_exec else f'python3 -c "{CHAINS}" & exec sleep 4242'
    lab.launch("one", "sh", "-c", program, pid_host=True)
    # The test holds the network namespace open, so that no other test gets a namespace with the same inode number.
    with open(f"/proc/{lab.pid('one')}/ns/net", "rb") as namespace:
        if by_exec:
            lab.exec("one", "python3", "-c", CHAINS, detach=True)
        time.sleep(0.5)
        assert in_network(namespace.fileno())
        lab.runtime.delete("one")
        assert not [pid for _ in range(20) for pid in in_network(namespace.fileno())]


@pytest.mark.usefixtures("groups")
def test_the_next_supervisor_ends_them_although_the_first_has_ended_before(lab):
    lab.launch("one", "sh", "-c", DAEMON + "exec sleep 4242", pid_host=True)
    entry, first = daemon(lab), lab.pid("one")
    lab.kill_supervisor()
    os.kill(first, 9)
    lab.await_death(first)
    lab.launch("two", "true")  # starts the next supervisor
    until(lambda: not (entry / "exe").exists())


def delete_with_group(lab, group: str) -> None:
    """Delete the container "one"; its control group must exist before, and not after."""
    root = namespaces.open_file_system("cgroup2", {})
    try:
        assert os.stat(group, dir_fd=root)
        lab.runtime.delete("one")
        with pytest.raises(FileNotFoundError):
            os.stat(group, dir_fd=root)
    finally:
        os.close(root)


@pytest.mark.usefixtures("groups")
def test_the_control_group_is_removed(lab):
    lab.launch("one", "sleep", "4242", pid_host=True)
    group = Path(f"/proc/{lab.pid('one')}/cgroup").read_text().rpartition("0::/")[2].strip()
    delete_with_group(lab, group)


@pytest.mark.usefixtures("groups")
def test_a_subgroup_of_the_control_group_counts_and_is_removed_too(lab):
    """systemd and dockerd in a privileged container make subgroups."""
    lab.launch("one", "sh", "-c", DAEMON + "exec sleep 4242", pid_host=True)
    entry = daemon(lab)
    group = (entry / "cgroup").read_text().rpartition("0::/")[2].strip()
    container = ContainerDirectory(os.fspath(lab.run_dir), "one").path
    root = namespaces.open_file_system("cgroup2", {})
    try:
        for path in ("inner", "inner/most"):
            os.mkdir(f"{group}/{path}", dir_fd=root)
        procs = os.open(f"{group}/inner/most/cgroup.procs", os.O_WRONLY, dir_fd=root)
        os.write(procs, entry.name.encode())
        os.close(procs)
        assert cgroup.members(container) == {lab.pid("one"), int(entry.name)}
        lab.runtime.delete("one")
        with pytest.raises(FileNotFoundError):
            os.stat(group, dir_fd=root)
    finally:
        os.close(root)


NEST = """
import os, subprocess, time
group = open("/proc/self/cgroup").read().rpartition("0::")[2].strip()
os.makedirs("/mnt", exist_ok=True)
subprocess.run(["mount", "-t", "cgroup2", "none", "/mnt"], check=True)
os.chdir("/mnt" + group)
for _ in range(1100):
    os.mkdir("nested")
    os.chdir("nested")
with open("cgroup.procs", "w") as file:
    file.write(str(os.fork() or os.getpid()))
print("done", flush=True)
time.sleep(4242)
"""


@pytest.mark.usefixtures("groups")
def test_deeply_nested_subgroups_are_removed_too(lab):
    """The 1,100 groups are more than the process may open files, and their path is longer than a path may be."""
    lab.launch("one", "python3", "-c", NEST, pid_host=True, privileged=True)
    until(lambda: "done" in lab.output("one"), seconds=60)
    container = ContainerDirectory(os.fspath(lab.run_dir), "one").path
    first = lab.pid("one")
    group = Path(f"/proc/{first}/cgroup").read_text().rpartition("0::/")[2].strip()
    assert len(cgroup.members(container)) == 2
    delete_with_group(lab, group)


@pytest.mark.usefixtures("groups")
def test_the_control_group_is_removed_although_another_process_removes_subgroups(tmp_path):
    """The programs of the container may remove groups until they are killed."""
    root = namespaces.open_file_system("cgroup2", {})
    try:
        for attempt in range(30):
            group = group_with_subgroups(str(tmp_path / str(attempt)), root)
            other = threading.Thread(target=remove_subgroups, args=(group, root))
            other.start()
            cgroup.remove(str(tmp_path / str(attempt)))
            other.join()
            with pytest.raises(FileNotFoundError):
                os.stat(group, dir_fd=root)
    finally:
        os.close(root)


def group_with_subgroups(container: str, root: int) -> str:
    """Create a container's control group with 30 subgroups and without processes; return its path below ``root``."""
    with subprocess.Popen(["sleep", "4242"]) as process:
        cgroup.enter(container, process.pid)
        group = Path(f"/proc/{process.pid}/cgroup").read_text().rpartition("0::/")[2].strip()
        process.kill()
    for number in range(30):
        os.mkdir(f"{group}/{number}", dir_fd=root)
    return group


def remove_subgroups(group: str, root: int) -> None:
    for number in range(30):
        with suppress(OSError):
            os.rmdir(f"{group}/{number}", dir_fd=root)


def test_processes_outside_a_control_group_end_too(lab):
    """The scan of /proc ends them where hawse cannot change control groups."""
    lab.launch("one", "sh", "-c", DAEMON + "exec sleep 4242", pid_host=True)
    entry = daemon(lab)
    root = namespaces.open_file_system("cgroup2", {})
    try:
        procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=root)
        os.write(procs, entry.name.encode())
        os.close(procs)
    except OSError:
        pass  # there is no control group here
    finally:
        os.close(root)
    lab.runtime.delete("one")
    until(lambda: not (entry / "exe").exists())
