"""A file keeps a network namespace alive until the file is removed. hawse keeps the namespace alive by a mount on the
file, or by an idle process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.linux import netns, persistent_netns

pytestmark = pytest.mark.netns


@pytest.fixture(params=["by a mount", "by a process"])
def mounting(request, monkeypatch) -> str:
    # hawse looks for the mount namespace of process 1 below the path ``INIT``. In the test case "by a mount", ``INIT``
    # leads to the test's own mount namespace. In the test case "by a process", the path ``INIT`` does not exist.
    monkeypatch.setattr(
        persistent_netns, "INIT", f"/proc/{os.getpid()}" if request.param == "by a mount" else "/nosuch"
    )
    return request.param


@pytest.fixture
def file(tmp_path, netns):
    made = tmp_path / "run" / "kept"
    yield made
    persistent_netns.remove(made)


def identity(file: Path) -> int:
    return os.stat(persistent_netns.netns_path(file)).st_ino


def test_a_namespace_is_kept_until_it_is_removed(mounting, file):
    assert not persistent_netns.exists(file)
    persistent_netns.make(file)
    assert persistent_netns.exists(file)
    assert identity(file) != os.stat("/proc/self/ns/net").st_ino
    links = netns.run_in_netns(persistent_netns.netns_path(file), lambda: os.listdir("/proc/self/net/dev_snmp6"))
    assert links == ["lo"]
    first = identity(file)
    persistent_netns.make(file)
    assert identity(file) == first
    for _ in range(2):
        persistent_netns.remove(file)
        assert not persistent_netns.exists(file)
        assert not file.exists()


def test_it_outlives_a_mount_namespace_that_ends(mounting, file):
    file.parent.mkdir()
    script = (
        "import sys; from pathlib import Path; from drivers.linux import persistent_netns as p;"
        "p.INIT = sys.argv[1]; p.make(Path(sys.argv[2])); print(p.exists(Path(sys.argv[2])))"
    )
    command = ["unshare", "--mount", sys.executable, "-c", script, persistent_netns.INIT, str(file)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"
    assert persistent_netns.exists(file)
    script = script.replace("make", "remove")
    command = ["unshare", "--mount", sys.executable, "-c", script, persistent_netns.INIT, str(file)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "1", "999999999 5", "no numbers"])
def test_a_file_that_a_crash_left_is_replaced(mounting, file, content):
    file.parent.mkdir()
    file.write_text(content)
    assert not persistent_netns.exists(file)
    persistent_netns.make(file)
    assert persistent_netns.exists(file)


def test_a_process_of_the_same_number_is_not_taken_for_the_keeper(file, monkeypatch):
    monkeypatch.setattr(persistent_netns, "INIT", "/nosuch")
    persistent_netns.make(file)
    keeper = int(file.read_text().split()[0])
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    file.write_text(f"{os.getpid()} 1\n")
    assert not persistent_netns.exists(file)
    persistent_netns.remove(file)  # must not kill the process whose pid is in the file: this test itself


def test_a_lock_on_a_directory_is_taken_by_one_at_a_time(tmp_path):
    directory = tmp_path / "run"
    with persistent_netns.directory_lock(directory):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(1)
            with persistent_netns.directory_lock(directory):
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGALRM
    assert not directory.exists()


def test_a_lock_is_taken_although_others_create_and_remove_the_directory(tmp_path):
    directory = tmp_path / "run"
    children = []
    for _ in range(4):
        children.append(os.fork())
        if children[-1] == 0:
            try:
                for _ in range(2000):
                    with persistent_netns.directory_lock(directory):
                        pass
                os._exit(0)
            finally:
                os._exit(1)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert not directory.exists()
