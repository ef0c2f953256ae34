"""Sysctls are read and written in the calling thread's network namespace, through an own instance of procfs."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from drivers.errors import KernelError
from drivers.linux import sysctl
from drivers.linux.netns import run_in_netns

pytestmark = pytest.mark.netns

MEDIUM = "net/ipv4/conf/lo/medium_id"


@pytest.fixture(autouse=True)
def new_instance(monkeypatch):
    """Let each test begin with a new instance of procfs, and replace the instance after every third look-up."""
    monkeypatch.setattr(sysctl, "RENEWAL", 3)
    sysctl._of_thread.procfs = None


def test_each_namespace_has_its_own_values(netns, host):
    for number in range(1, 6):
        for place, value in ((netns, f"{number}"), (host, f"{number + 100}")):
            run_in_netns(place.path, lambda value=value: sysctl.write(MEDIUM, value))
        assert run_in_netns(netns.path, lambda: sysctl.read(MEDIUM)) == f"{number}"
        assert netns.run("cat", f"/proc/sys/{MEDIUM}").stdout.strip() == f"{number}"
        assert host.run("cat", f"/proc/sys/{MEDIUM}").stdout.strip() == f"{number + 100}"


def test_missing_sysctls_and_directories(netns):
    assert run_in_netns(netns.path, lambda: sysctl.read("net/ipv4/conf/lo/nothing")) is None
    assert run_in_netns(netns.path, lambda: sysctl.read("net/ipv4/conf/eth0/rp_filter")) is None
    assert [sysctl.exists(path) for path in ("net/ipv4", MEDIUM, "net/ipv4/nothing")] == [True, True, False]
    with pytest.raises(KernelError, match="nothing"):
        sysctl.write("net/ipv4/conf/lo/nothing", "1")


def test_threads_and_forked_children_have_instances_of_their_own(netns):
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    sysctl.read(MEDIUM)
    before, seen = descriptors(), []
    thread = threading.Thread(target=lambda: seen.append((sysctl.read(MEDIUM), descriptors())))
    thread.start()
    thread.join()
    assert seen == [(sysctl.read(MEDIUM), before + 1)]
    assert descriptors() == before, "the end of the thread has closed its instance"
    root = sysctl._of_thread.procfs.root
    child = os.fork()
    if child == 0:
        replaced = os.dup2(os.open("/", os.O_PATH), root)  # as after closerange(), another file has the number
        right = sysctl.read(MEDIUM) == seen[0][0] and os.readlink(f"/proc/self/fd/{replaced}") == "/"
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    "mount",
    [
        "mount -o bind,ro /proc/sys /proc/sys",
        "mount -t tmpfs none /proc/sys",
        "mount -o bind,ro /proc/sys/net /proc/sys/net",
        "mount -t tmpfs none /proc/sys/net",
    ],
)
def test_a_restricted_proc_sys_stays_restricted(netns, mount):
    code = (
        "from drivers.linux import sysctl\nfrom drivers.errors import KernelError\n"
        f"try:\n  sysctl.write({MEDIUM!r}, '9')\nexcept KernelError:\n  print('refused')"
    )
    script = f'{mount} && exec "$0" -c "$1"'
    ran = netns.run("unshare", "--mount", "sh", "-c", script, sys.executable, code, cwd=Path(__file__).parents[4])
    assert ran.stdout == "refused\n"
    assert netns.run("cat", f"/proc/sys/{MEDIUM}").stdout.strip() != "9"


def test_another_mount_namespace_decides_anew(netns):
    code = (
        "import os, subprocess\nfrom drivers.linux import namespaces, sysctl\n"
        f"sysctl.read({MEDIUM!r})\nbefore = sysctl._of_thread.procfs.root\nnamespaces.unshare(namespaces.CLONE_NEWNS)\n"
        "subprocess.run(['mount', '-o', 'bind,ro', '/proc/sys', '/proc/sys'], check=True)\n"
        f"sysctl.read({MEDIUM!r})\nprint(before is not None, sysctl._of_thread.procfs.root)"
    )
    ran = netns.run("unshare", "--mount", sys.executable, "-c", code, cwd=Path(__file__).parents[4])
    assert ran.stdout == "True None\n"


def test_without_the_right_to_mount_the_file_of_the_host_is_used(netns):
    code = f"from drivers.linux import sysctl; print(sysctl.read({MEDIUM!r}), sysctl._of_thread.procfs.root)"
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", sys.executable, "-c", code]
    ran = netns.run(*without, cwd=Path(__file__).parents[4])
    assert ran.stdout == f"{netns.run('cat', f'/proc/sys/{MEDIUM}').stdout.strip()} None\n"
