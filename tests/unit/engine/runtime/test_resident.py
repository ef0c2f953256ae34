"""The lock file of a resident process has the process's pid and start time as a signature."""

from __future__ import annotations

import os

from engine.runtime import resident


def test_a_signature_names_its_living_process_only(tmp_path):
    lock = os.open(tmp_path / "x.lock", os.O_RDWR | os.O_CREAT)
    assert resident.holder(str(tmp_path), "x.lock") == 0
    resident.sign(lock)
    assert resident.holder(str(tmp_path), "x.lock") == os.getpid()
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d:1" % os.getpid(), 0)
    assert resident.holder(str(tmp_path), "x.lock") == 0
    os.close(lock)
