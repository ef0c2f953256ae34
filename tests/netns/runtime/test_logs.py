"""A container's log stays within its size limit, even if the supervisor is killed."""

from __future__ import annotations

import gzip
import os
import threading
import time
from pathlib import Path

import pytest

from engine.model import LogOptions

pytestmark = pytest.mark.netns

COUNT = "i=0; while [ $i -lt {0} ]; do i=$((i+1)); echo $i{1}; done"


def files(lab, name: str = "one") -> dict[str, int]:
    """Return the sizes in bytes of a container's log files; the keys are the suffixes of the file names."""
    base = Path(lab.log(name))
    return {path.name.removeprefix(base.name): path.stat().st_size for path in base.parent.iterdir()}


def numbers(lab, **options) -> list[int]:
    return [int(line.data) for line in lab.runtime.logs(lab.log("one"), LogOptions(**options), "one")]


def test_flood_stays_within_its_bound(lab):
    """A container writes a million short lines (75 MB of log). The container's log stays within the limit."""
    lab.launch("one", "sh", "-c", "yes | head -n 1000000; echo end", log_max_size=1_000_000, log_max_files=3)
    lab.runtime.wait("one", timeout=100)
    sizes = files(lab)
    assert sorted(sizes) == ["", ".1", ".2"]
    assert all(1_000_000 <= sizes[name] < 1_000_100 for name in (".1", ".2"))
    assert sizes[""] < 1_000_100
    lines = list(lab.runtime.logs(lab.log("one"), LogOptions(), "one"))
    assert [line.data for line in lines[-2:]] == [b"y\n", b"end\n"]
    assert len(lines) > 2_000_000 // 100


def test_log_files_are_numbered_as_by_docker(lab):
    """hawse numbers its log files as Docker does.

    With `max-size=10k` and `max-file=3`, Docker 26.1.5 keeps lines 637 to 1000 of 1000 lines. hawse keeps the same
    lines.
    """
    lab.launch("one", "sh", "-c", COUNT.format(1000, ""), log_max_size=10_000, log_max_files=3)
    lab.runtime.wait("one", timeout=60)
    assert sorted(files(lab)) == ["", ".1", ".2"]
    kept = numbers(lab)
    assert kept == list(range(kept[0], 1001))
    assert 300 < len(kept) < 450
    assert numbers(lab, tail=200) == list(range(801, 1001))


def test_supervisors_that_are_killed_leave_a_whole_log(lab):
    """A killed supervisor loses only the lines that the supervisor had read but not yet written.

    In this test, a killed supervisor can lose the lines of a few milliseconds.
    """
    lab.launch("one", "sh", "-c", COUNT.format(400, "; sleep 0.01"), log_max_size=1000, log_max_files=50)
    for _ in range(6):
        time.sleep(0.25)
        lab.kill_supervisor()
        assert lab.runtime.wait("one", timeout=0) is None  # this call starts a new supervisor
    assert lab.runtime.wait("one", timeout=60) == 0
    sizes = files(lab)
    assert sorted(sizes, key=lambda name: int(name[1:] or 0)) == ["", *(f".{n}" for n in range(1, len(sizes)))]
    assert all(sizes[name] >= 1000 for name in sizes if name)
    got = numbers(lab)
    assert got == sorted(set(got))
    assert got[-1] >= 400 - 3, "on a busy machine, the program may write its last lines before the last kill"
    assert len(got) >= 400 - 6 * 3


def test_following_continues_across_rotations_and_supervisors(lab):
    lab.launch("one", "sh", "-c", COUNT.format(300, "; sleep 0.005"), log_max_size=1000, log_max_files=50)
    got: list[int] = []

    def follow() -> None:
        lab.enter_namespace()
        got.extend(numbers(lab, follow=True))

    reader = threading.Thread(target=follow)
    reader.start()
    time.sleep(0.5)
    lab.kill_supervisor()
    reader.join(60)
    assert not reader.is_alive()
    assert got == list(range(1, 301))


def test_rotated_logs_are_compressed_and_still_read(lab):
    lab.launch(
        "one", "sh", "-c", COUNT.format(2000, ""), log_max_size=20_000, log_max_files=4, log_compress=True
    )  # fmt: skip
    lab.runtime.wait("one", timeout=60)
    deadline = time.monotonic() + 30
    while sorted(files(lab)) != ["", ".1.gz", ".2.gz", ".3.gz"]:
        assert time.monotonic() < deadline, files(lab)
        time.sleep(0.02)
    kept = numbers(lab)
    assert kept == list(range(kept[0], 2001))
    assert numbers(lab, tail=500) == list(range(1501, 2001))
    with gzip.open(lab.log("one") + ".1.gz") as content:
        assert content.readline().startswith(b'{"log":"')
    children = Path(f"/proc/{lab.supervisor_pid()}/task/{lab.supervisor_pid()}/children")
    while children.read_text():  # the last compression renames its file before it ends
        assert time.monotonic() < deadline, children.read_text()
        time.sleep(0.02)


def test_what_compresses_ends_with_its_supervisor(lab):
    lab.launch("one", "sh", "-c", "head -c 60000000 /dev/urandom | base64; sleep 60",
               log_max_size=50_000_000, log_max_files=3, log_compress=True)  # fmt: skip
    compressing = lab.log("one") + ".compressing"
    deadline = time.monotonic() + 60
    while not os.path.exists(compressing):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    supervisor = lab.supervisor_pid()
    (child,) = [
        int(pid)
        for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        if Path(f"/proc/{pid}/comm").read_text() in ("hawse-gzip\n", "hawse-supervise\n")
    ]
    lab.kill_supervisor()
    lab.await_death(child)
    assert lab.runtime.state("one").running
    assert not os.path.exists(compressing)
