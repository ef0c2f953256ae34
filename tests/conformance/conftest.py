"""Two hosts on one virtual wire for each test module. One host runs hawse, and the other host runs a real
dockerd.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Host, Peer, require_root

from .targets import Api, Docker, Hawse, Target

NEEDED = ("dockerd", "docker", "busybox")


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar file with a small root file system, which contains busybox and one user other than root."""
    root = tmp_path_factory.mktemp("rootfs")
    for directory in ("bin", "etc", "tmp", "root", "srv/data"):
        (root / directory).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), root / "bin" / "busybox")
    for applet in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\napps:x:1001:\nextra:x:1002:app\n")
    (root / "etc" / "notes").write_text("not a program\n")
    tar = root.with_suffix(".tar")
    subprocess.run(["tar", "-C", str(root), "-cf", str(tar), "."], check=True)
    return tar


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory, rootfs: Path) -> Iterator[tuple[Target, Target]]:
    """The two hosts, one with hawse and one with Docker, ready to run scenarios.

    With HAWSE_TEST_API=on, docker's own command line uses hawse's API instead of the command hawse.
    """
    ours = Api if os.environ.get("HAWSE_TEST_API") == "on" else Hawse
    peer = Peer(f"hwd{os.getpid()}p", ipv6=False)
    hosts: list[Host] = []
    started: list[Target] = []
    try:
        for index, kind in enumerate((ours, Docker), 1):
            state = tmp_path_factory.mktemp(kind.__name__.lower())
            hosts.append(Host(f"hwd{os.getpid()}h{index}", peer, state, index))
            started.append(kind(hosts[-1], state))
            started[-1].load(rootfs)
        yield started[0], started[1]
    finally:
        for target in started:
            target.stop()
        for host in hosts:
            host.delete()
        peer.delete()


@pytest.fixture(scope="session", autouse=True)
def docker_installed() -> None:
    """Skip the tests, with a clear reason, if a program that the comparison needs is not installed."""
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        pytest.skip(f"needs a real Docker to compare with: apt-get install docker.io busybox-static (no {missing[0]})")
    require_root()
