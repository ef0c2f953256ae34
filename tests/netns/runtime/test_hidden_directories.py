"""A container whose root is the host's file system (hostfs) cannot see hawse's directories at any of their paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.model import Mount
from engine.runtime import syscalls
from engine.runtime.api import RuntimeFailure

pytestmark = pytest.mark.netns


@pytest.fixture
def secret(lab) -> Path:
    """A secret file in HAWSE_ROOT; return its path.

    hawse must hide HAWSE_ROOT from containers, and also HAWSE_RUN, which contains the supervisor's socket.
    """
    (lab.state / "root").mkdir(mode=0o700)
    (lab.state / "root" / "ca.key").write_text("secret")
    return lab.state / "root" / "ca.key"


def look(lab, *directories: Path, **fields) -> str:
    return lab.sh(f"for d in {' '.join(map(str, directories))}; do ls -A $d; done", **fields)


@pytest.mark.parametrize(
    "fields", [{}, {"pid_host": True}, {"privileged": True}, {"read_only": True}, {"user": "1000"}]
)
def test_hawse_directories_are_empty_and_cannot_be_written(lab, secret, fields):
    script = f"ls -A {lab.run_dir} {secret.parent}; touch {lab.run_dir}/x {secret.parent}/x; true"
    output = lab.sh(script, **fields)
    assert "secret" not in output and "supervisor.sock" not in output
    assert output.count("Read-only file system") + output.count("Permission denied") >= 2
    assert not (lab.run_dir / "x").exists()
    assert look(lab, secret.parent.parent).split() == ["logs", "root", "run"]


@pytest.fixture
def elsewhere(lab, tmp_path_factory):
    """Mount the lab's files at a second path, and HAWSE_RUN at a path that contains a blank; yield both new paths."""
    other, bound = tmp_path_factory.mktemp("other"), tmp_path_factory.mktemp("a b")
    lab.run_dir.mkdir(mode=0o700)
    syscalls.bind(str(lab.state.parent), str(other))
    syscalls.bind(str(lab.run_dir), str(bound))
    yield other / lab.state.name, bound
    syscalls.unmount(str(bound))
    syscalls.unmount(str(other))


def test_directories_are_hidden_at_every_path_of_a_file_system_mounted_twice(lab, secret, elsewhere):
    lab.launch("other", "sleep", "60")
    other, bound = elsewhere
    assert os.listdir(other / "root") == ["ca.key"]
    assert look(lab, other).split() == ["logs", "root", "run"]
    assert lab.sh(f"ls -A {other}/root {other}/run '{bound}' | grep -v :; true").split() == []


def test_files_of_hidden_directories_are_visible_if_the_user_binds_them(lab, secret):
    mounts = [Mount(str(secret.parent), "/mnt")]
    assert look(lab, Path("/mnt"), secret.parent, mounts=mounts).split() == ["ca.key"]
    assert lab.sh(f"cat {secret}", mounts=[Mount(str(secret.parent), str(secret.parent))]) == "secret"


def test_files_of_the_container_are_there_though_they_are_kept_in_the_hidden_directory(lab, secret):
    hosts = secret.parent / "hosts"
    hosts.write_text("10.0.0.1 own\n")
    assert lab.sh("cat /etc/hosts", files={"/etc/hosts": str(hosts)}) == "10.0.0.1 own\n"


def test_mount_below_a_hidden_directory_is_refused(lab, secret):
    with pytest.raises(RuntimeFailure, match="read-only file system"):
        lab.run("one", "true", mounts=[Mount("/usr", f"{secret.parent}/new")])


def test_container_on_a_root_directory_of_its_own_needs_no_hidden_paths(lab, secret, tmp_path):
    (tmp_path / "image").mkdir()
    lab.runtime.create(lab.spec("one", "true", rootfs=str(tmp_path / "image")))
    assert lab.runtime._directory("one").read("spec")["hidden"] == []
