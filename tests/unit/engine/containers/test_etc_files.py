"""A container chooses the content of its /etc files, and can prevent that they are written. hawse reads them only up
to a limit, and no command fails or waits. The servers in /etc/resolv.conf are those that the container can reach.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import resolv_conf
from engine.config import Config
from engine.containers import etc_files
from engine.model import ContainerConfig, ContainerRecord, HostConfig
from engine.resolv_conf import Transform, read_host_files
from tests.conftest import loaded


def test_a_file_that_a_container_enlarges_is_read_up_to_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_bytes(b"10.0.0.1\tweb\n\xff")
    assert etc_files._present(file) == "10.0.0.1\tweb\n\udcff"
    file.write_bytes(bytes(etc_files.FILE_LIMIT_BYTES + 1))
    assert etc_files._present(file) is None
    assert etc_files._present(tmp_path / "missing") is None
    assert etc_files._present(Path("/dev/zero")) is None, "a file whose size was small, and that never ends"


def test_a_file_that_a_container_has_leased_delays_no_command(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel sends this signal to the holder of the lease
    file = tmp_path / "hosts"
    file.write_text("old")
    try:
        with file.open("r+") as leased:
            fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            began = time.monotonic()
            assert etc_files._present(file) is None
            etc_files._write(file, "new")
            assert time.monotonic() - began < loaded(5)
            assert leased.read() == "old"
        etc_files._write(file, "new")
        assert file.read_text() == "new"
    finally:
        signal.signal(signal.SIGIO, before)


@pytest.fixture
def host_with_stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A host whose resolv.conf has only the stub of systemd-resolved."""
    (tmp_path / "system").write_text("nameserver 127.0.0.53\n")
    (tmp_path / "behind").write_text("nameserver 192.0.2.7\n")
    monkeypatch.setattr(resolv_conf, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(resolv_conf, "BEHIND_STUB", tmp_path / "behind")
    files = read_host_files(tmp_path / "system", tmp_path / "behind")
    monkeypatch.setattr(etc_files, "read_host_files", lambda: files)
    return SimpleNamespace(config=Config())


@pytest.mark.parametrize(
    ("mode", "transform", "server", "file"),
    [
        ("bridge", Transform.LEGACY, "nameserver 192.0.2.7", "behind"),
        ("none", Transform.LEGACY, "nameserver 192.0.2.7", "behind"),
        ("host", Transform.NONE, "nameserver 127.0.0.53", "system"),
        ("app", Transform.INTERNAL, "# ExtServers: [host(127.0.0.53)]", "system"),
        ("bridge", Transform.INTERNAL, "# ExtServers: [192.0.2.7]", "behind"),
    ],
)
def test_the_network_mode_chooses_the_hosts_file_as_in_docker(host_with_stub, tmp_path, mode, transform, server, file):
    """Seen in Docker 26.1.5; the last container was started on the bridge and then connected to a network."""
    config = ContainerConfig(image="i")
    record = ContainerRecord(id="c", name="c", created="", config=config, host=HostConfig(network_mode=mode))
    lines = etc_files._resolv_conf(host_with_stub, record, [], transform).splitlines()
    assert server in lines
    assert any(line.startswith(f"# Based on host file: '{tmp_path / file}'") for line in lines)
    (tmp_path / file).unlink()
    assert "# Based on host file: ''" in etc_files._resolv_conf(host_with_stub, record, [], transform)


def test_a_file_that_a_container_runs_as_a_program_is_not_updated(tmp_path: Path) -> None:
    file = Path(shutil.copy("/bin/sleep", tmp_path / "hosts"))
    with subprocess.Popen([file, "100"]) as program:
        try:
            etc_files._write(file, "new")
        finally:
            program.kill()
    assert file.read_bytes() == Path("/bin/sleep").read_bytes()
    etc_files._write(file, "new")
    assert file.read_text() == "new"


@pytest.mark.parametrize(("number", "raises"), [(errno.EPERM, False), (errno.ENOSPC, True)])
def test_only_the_errors_that_a_container_can_cause_are_ignored(tmp_path, monkeypatch, number, raises) -> None:
    """open(2) fails with EPERM if the container has made its file immutable (chattr +i)."""

    def refuse(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(etc_files, "no_follow", refuse)
    if raises:
        with pytest.raises(OSError, match=os.strerror(number)):
            etc_files._write(tmp_path / "hosts", "new")
    else:
        etc_files._write(tmp_path / "hosts", "new")
