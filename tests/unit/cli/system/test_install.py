from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[4]
UNITS = [
    "hawse-agent.service",
    "hawse-api.service",
    "hawse-api.socket",
    "hawse-boot.service",
    "hawse-warm.service",
    "hawse-warm.socket",
]


def hawse(*argv, before=None, **variables):
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT), **variables}
    command = [sys.executable, "-m", "cli", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environment, preexec_fn=before)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "etc" / "systemd" / "system"


def test_install_writes_units_for_this_installation_and_uninstall_removes_them(tmp_path, directory):
    installed = hawse("system", "install", "--root", str(tmp_path), HAWSE_RUN="/run/100%")
    assert installed.returncode == 0
    assert sorted(path.name for path in directory.iterdir()) == UNITS
    assert sorted(installed.stdout.splitlines()) == sorted(str(directory / name) for name in UNITS)
    assert "ListenStream=/run/100%%/warm.sock\n" in (directory / "hawse-warm.socket").read_text()
    assert "SocketMode=0660\nSocketUser=root\nSocketGroup=root\n" in (directory / "hawse-api.socket").read_text()
    for name in UNITS:
        text = (directory / name).read_text()
        assert not re.search("@[A-Z]+@", text)
        assert name.endswith("socket") or f"ExecStart={sys.executable} -I " in text
        assert name.endswith("socket") or f"\nAssertPathExists={CHECKOUT}/cli/launcher/launch.py\n" in text
        assert name.endswith("socket") or ' "HAWSE_CONFIG=/etc/hawse/daemon.json"' in text
        assert "\nRestart=" not in text or "\nStartLimitIntervalSec=0\n" in text  # no kill ends the unit for good
    hawse("system", "install", "--root", str(tmp_path), HAWSE_CONFIG="/etc/a.json")
    assert ' "HAWSE_CONFIG=/etc/a.json"' in (directory / "hawse-boot.service").read_text()
    removed = hawse("system", "uninstall", "--root", str(tmp_path))
    assert (removed.returncode, sorted(removed.stdout.split())) == (0, sorted(installed.stdout.split()))
    assert list(directory.iterdir()) == []
    assert hawse("system", "uninstall", "--root", str(tmp_path)).returncode == 0


def test_systemd_analyze_accepts_the_units(tmp_path, directory):
    hawse("system", "install", "--root", str(tmp_path))
    verified = subprocess.run(["systemd-analyze", "verify", *directory.iterdir()], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_a_path_that_a_unit_cannot_hold_is_refused(tmp_path):
    refused = hawse("system", "install", "--root", str(tmp_path), HAWSE_RUN='/run/a "b"')
    assert (refused.returncode, refused.stderr) == (1, 'a unit file cannot name this path: /run/a "b"\n')


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "etc").write_text("")
    refused = hawse("system", "install", "--root", str(tmp_path))
    assert (refused.returncode, refused.stderr.startswith(f"cannot write {tmp_path}")) == (1, True)


def test_a_masked_unit_is_refused_before_anything_is_written(tmp_path, directory):
    """systemctl masks a unit with a link to /dev/null. hawse must not change the mode of the link's target."""
    directory.mkdir(parents=True)
    target = tmp_path / "null"
    target.touch(mode=0o600)
    (directory / "hawse-api.service").symlink_to(target)
    refused = hawse("system", "install", "--root", str(tmp_path))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(
        f"{directory}/hawse-api.service is a symbolic link, perhaps because the unit is masked"
    )
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("", 0o600)
    assert [path.name for path in directory.iterdir()] == ["hawse-api.service"]


def fill_disk():
    """Let the kernel refuse to write more than 100 bytes of a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))


def test_a_failed_install_keeps_the_unit_files_of_the_earlier_install(tmp_path, directory):
    hawse("system", "install", "--root", str(tmp_path))
    before = {path.name: path.read_text() for path in directory.iterdir()}
    failed = hawse("system", "install", "--root", str(tmp_path), before=fill_disk)
    assert failed.returncode == 1
    assert failed.stderr == f"cannot write {directory / 'hawse-warm.socket'}: file too large\n"
    assert {path.name: path.read_text() for path in directory.iterdir()} == before


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_the_files_that_a_killed_install_left_are_deleted(tmp_path, directory, command):
    directory.mkdir(parents=True)
    left, written, foreign = (
        directory / f"hawse-api.socket.{middle}.new" for middle in ("4194305", str(os.getpid()), "old")
    )
    for path in (left, written, foreign):
        path.write_text("[Unit]")  # the pid of the first path is too large for a process
    done = hawse("system", command, "--root", str(tmp_path))
    assert (done.returncode, left.exists(), written.exists(), foreign.exists()) == (0, False, True, True)
