"""hawse reads the /etc files of a container only up to a limit, because the container chooses their content."""

from __future__ import annotations

import fcntl
import signal
import time
from pathlib import Path

from engine.containers import etc_files


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
            assert time.monotonic() - began < 5
            assert leased.read() == "old"
        etc_files._write(file, "new")
        assert file.read_text() == "new"
    finally:
        signal.signal(signal.SIGIO, before)
