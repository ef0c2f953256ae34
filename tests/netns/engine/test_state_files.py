"""Where state is kept: for root alone, and what can be done when there is no room for it."""

import os
import stat
from pathlib import Path

import pytest

from engine.runtime import kernel

pytestmark = pytest.mark.netns


def test_all_directories_are_roots_alone(host):
    """Those too that had to be made above another one."""
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--network", "app", "-p", "7000:70", "hostfs", "sleep", "1d")
    places = [host.state / "h1", *host.root.rglob("*"), *host.run_dir.rglob("*")]
    open_to_others = [p for p in places if p.is_dir() and not p.is_symlink() and stat.S_IMODE(p.stat().st_mode) & 0o77]
    assert [p for p in open_to_others if p.name != "rootfs"] == []


@pytest.fixture
def small_disk(host):
    """HAWSE_ROOT on a disk of its own."""
    host.root.mkdir(parents=True)
    kernel.mount("small", str(host.root), "tmpfs", data="size=3m")
    yield host.root
    kernel.unmount(str(host.root))


def test_full_disk_keeps_nobody_from_removing_what_filled_it(host, small_disk):
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "one", "--network", "app", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "loud", "--network", "app", "hostfs", "sh", "-c", "yes >&2")
    fill(small_disk / "fill")
    host.hawse("stop", "-t0", "one")
    host.hawse("rm", "-f", "loud")
    host.hawse("rm", "one")
    host.hawse("network", "rm", "app")
    assert host.hawse("ps", "-aq").stdout == ""


def fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert os.statvfs(path).f_bfree == 0
