"""Container logs are rotated as by Docker's json-file driver, even after interruptions, and are read across files."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import resource
import signal
import threading
import time
from contextlib import closing, suppress

import pytest

from engine.model import LogOptions
from engine.runtime import jsonlog, logs
from engine.runtime.jsonlog import LogWriter
from engine.runtime.logcompress import Compressor
from tests.conftest import loaded


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "c" / "c-json.log")


def names(path: str) -> list[str]:
    return sorted(name.removeprefix("c-json.log") for name in os.listdir(os.path.dirname(path)))


def numbers(path: str, **options) -> list[int]:
    return [int(line.data) for line in logs.read(path, LogOptions(**options), lambda: pytest.fail("waits"))]


def write(writer: LogWriter, numbers, chunk: int = 7) -> None:
    for group in itertools.batched(numbers, chunk) if hasattr(itertools, "batched") else [list(numbers)]:
        writer.write("stdout", b"".join(b"%d\n" % n for n in group))


class Children:
    """A double of the supervisor's list of child processes.

    Because the real list would reap all children of the test process, the tests use a double.
    """

    def __init__(self) -> None:
        self.expected: dict = {}

    def expect(self, pid, ended) -> None:
        self.expected[pid] = ended

    def reap(self, *, wait: bool = True) -> bool:
        """Reap one child that has ended; return False if no child has ended.

        With ``wait``, first wait until a child ends.
        """
        for pid in list(self.expected):
            ended, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
            if ended:
                self.expected.pop(pid)(status)
                return True
        return False


ENTRY = len(jsonlog.encode_entry("stdout", b"1000\n", 123456789))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("files", [1, 2, 5])
def test_the_sizes_and_names_of_rotated_files(path, files, chunk):
    """A log file is rotated only when it is full and a further entry must be written.

    Therefore a log file may exceed its limit by a part of one entry. Docker 26.1.5 wrote files of 10,020 and 10,016
    bytes with a limit of 10k.
    """
    writer = LogWriter(path, 1000, files)
    for start in range(1000, 2000, chunk):
        writer.write("stdout", b"".join(b"%d\n" % n for n in range(start, min(start + chunk, 2000))))
    writer.close()
    assert names(path) == ["", *(f".{n}" for n in range(1, files))]
    for name in names(path)[1:]:
        size = os.path.getsize(path + name)
        assert 1000 <= size < 1000 + 100
        with open(path + name, "rb") as file:
            assert size - len(file.readlines()[-1]) < 1000
    kept = numbers(path)
    assert kept == list(range(kept[0], 2000))
    assert len(kept) >= (files - 1) * 1000 // 100


def test_a_log_without_a_limit_is_not_rotated(path):
    writer = LogWriter(path)
    writer.write("stdout", b"x\n" * 50_000)
    writer.close()
    assert names(path) == [""]


@pytest.mark.parametrize("tail", [0, 1, 5, 13, 14, 100, 5000, -1])
@pytest.mark.parametrize("compressed", [False, True])
def test_tail_counts_lines_across_rotated_files(path, tail, compressed):
    writer = LogWriter(path, 1000, 4)
    writer.write("stdout", b"".join(b"%d\n" % n for n in range(1000, 2000)))
    kept = numbers(path)
    if compressed:
        children = Children()
        Compressor(children, path).start()
        while children.reap():
            pass
        assert names(path) == ["", ".1.gz", ".2.gz", ".3.gz"]
    assert numbers(path, tail=tail) == (kept[-tail:] if tail > 0 else [] if tail == 0 else kept)
    writer.close()


def test_since_and_until_across_files(path, monkeypatch):
    clock = itertools.count(10**18, 10**9)
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    writer = LogWriter(path, 1000, 50)
    for n in range(1000, 1200):
        writer.write("stdout", b"%d\n" % n)
    writer.close()
    assert len(names(path)) > 5
    assert numbers(path, since=1e9 + 50, until=1e9 + 60) == list(range(1050, 1061))


def test_partial_lines_and_both_streams_survive_rotation(path):
    writer = LogWriter(path, 300, 100)
    for n in range(100):
        writer.write("stdout", b"out%d" % n)
        writer.write("stderr", b"err%d\n" % n)
        writer.write("stdout", b"\n")
    writer.write("stdout", b"end")
    writer.close()
    read = [(line.stream, line.data) for line in logs.read(path, LogOptions(), lambda: pytest.fail("waits"))]
    assert [data for stream, data in read if stream == "stdout"] == [*(b"out%d\n" % n for n in range(100)), b"end"]
    assert [data for stream, data in read if stream == "stderr"] == [b"err%d\n" % n for n in range(100)]


# ------------------------------------------------------------------------------------------------ interruptions


class Killed(Exception):
    """An error that a test raises at the point where a real supervisor would be killed by kill -9."""


@pytest.fixture
def kill_at(monkeypatch):
    """Return a function that makes file operations fail.

    Given a number n, the n-th and all later calls that change a file raise `Killed`.
    """

    def arm(number: int) -> None:
        count = itertools.count(1)

        def guarded(call):
            def run(*args, **kwargs):
                if next(count) >= number:
                    raise Killed
                return call(*args, **kwargs)

            return run

        for name in ("rename", "replace", "unlink", "write", "open"):
            monkeypatch.setattr(jsonlog.os, name, guarded(originals[name]))

    originals = {name: getattr(os, name) for name in ("rename", "replace", "unlink", "write", "open")}
    yield arm
    for name, call in originals.items():
        setattr(jsonlog.os, name, call)


@pytest.mark.parametrize("files", [1, 2, 3, 4])
def test_killed_at_every_step_of_a_rotation(path, files, kill_at, monkeypatch):
    """A log rotation is killed at every step. Only log entries that the rotation was to remove may be lost.

    The next supervisor continues the log.
    """
    for step in itertools.count(1):
        with suppress(FileNotFoundError):
            for name in os.listdir(os.path.dirname(path)):
                os.unlink(os.path.join(os.path.dirname(path), name))
        writer = LogWriter(path, 200, files)
        for n in range(1000, 1000 + 3 * files):
            writer.write("stdout", b"%d\n" % n)
        before = numbers(path)
        last = 1000 + 3 * files
        kill_at(step)
        try:
            writer.write("stdout", b"%d\n" % last)
        except Killed:
            done = False
        else:
            done = True
        monkeypatch.undo()
        writer.close()
        present = numbers(path)  # the log lines that exist before the next supervisor starts
        successor = LogWriter(path, 200, files)
        after = numbers(path)
        for lines in (present, after):
            assert lines == list(range(lines[0], lines[-1] + 1)), step
            assert lines[-1] in (last - 1, last), step
        assert present[-1] == after[-1], step
        assert present[0] <= after[0], step
        assert len(after) >= (1 if files == 1 else len(before) - 3), step
        assert ".next" not in names(path)
        successor.write("stdout", b"%d\n" % (after[-1] + 1))
        successor.close()
        assert numbers(path)[-1] == after[-1] + 1
        assert len(names(path)) <= files
        if done:
            break
    assert step > 3


def test_only_an_incomplete_entry_is_lost(path):
    writer = LogWriter(path)
    writer.write("stdout", b"1\n")
    writer.close()
    with open(path, "ab") as file:
        file.write(b'{"log":"2\\n","stre')
    writer = LogWriter(path)
    writer.write("stdout", b"3\n")
    writer.close()
    assert numbers(path) == [1, 3]


@pytest.mark.parametrize("line", [b"null", b"[]", b"{}", b'{"log":1,"stream":"x","time":"y"}', b"\xff", b""])
def test_lines_that_are_no_entries_are_skipped(path, line):
    os.makedirs(os.path.dirname(path))
    entry = jsonlog.encode_entry("stdout", b"1\n", 10**18)
    with open(path, "wb") as file:
        file.write(entry + line + b"\n" + entry)
    assert numbers(path) == [1, 1]


def test_a_full_disk_costs_entries_and_nothing_else(path):
    """On a full disk, log entries are lost, but the container and the supervisor continue.

    The test uses a limit on file sizes instead of a full disk. The limit and a full disk cut off a write in the same
    way.
    """
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = LogWriter(path)
    writer.write("stdout", b"1\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + ENTRY + 20, limit[1]))
    try:
        for n in (2, 3, 4):
            writer.write("stdout", b"%d\n" % n)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    writer.write("stdout", b"5\n")
    writer.close()
    assert numbers(path) == [1, 2, 5]


def test_a_log_that_cannot_be_rotated_is_emptied(path):
    writer = LogWriter(path, 200, 3)
    for n in range(1000, 1010):
        writer.write("stdout", b"%d\n" % n)
    os.mkdir(path + ".next")
    for n in range(1010, 1015):
        writer.write("stdout", b"%d\n" % n)
    writer.close()
    os.rmdir(path + ".next")
    assert os.path.getsize(path) < 300
    assert numbers(path)[-1] == 1014


# ------------------------------------------------------------------------------------------------ compression


def test_rotated_files_are_compressed_and_read(path):
    children, descriptors = Children(), len(os.listdir("/proc/self/fd"))
    compressor = Compressor(children, path)
    writer = LogWriter(path, 20_000, 4, compressor.start)
    writer.write("stdout", b"".join(b"%d\n" % n for n in range(1000, 3000)))
    while children.reap():
        pass
    assert names(path) == ["", ".1.gz", ".2.gz", ".3.gz"]
    kept = numbers(path)
    assert kept == list(range(kept[0], 3000))
    with gzip.open(path + ".1.gz") as content:
        assert json.loads(content.readline())["stream"] == "stdout"
    writer.write("stdout", b"".join(b"%d\n" % n for n in range(3000, 3500)))
    while children.reap():
        pass
    writer.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    kept = numbers(path)
    assert kept == list(range(kept[0], 3500))
    assert names(path) == ["", ".1.gz", ".2.gz", ".3.gz"]


def test_compression_that_was_interrupted_is_done_again(path):
    writer = LogWriter(path, 20_000, 4)
    writer.write("stdout", b"".join(b"%d\n" % n for n in range(1000, 2000)))
    kept = numbers(path)
    with open(path + ".compressing", "wb") as file:
        file.write(b"half")
    with open(path + ".2", "rb") as plain, gzip.open(path + ".2.gz", "wb") as packed:  # a kill leaves both files
        packed.write(plain.read())
    assert numbers(path) == kept
    children = Children()
    Compressor(children, path).start()
    while children.reap():
        pass
    assert names(path) == ["", ".1.gz", ".2.gz", ".3.gz"]
    assert numbers(path) == kept
    writer.close()


# ------------------------------------------------------------------------------------------------ following


class End:
    """A double of the supervisor's connection. The test decides when the double reports the container's end."""

    def __init__(self) -> None:
        import socket

        self.ours, self.theirs = socket.socketpair()

    def tell(self) -> None:
        from engine.runtime import protocol

        protocol.send(self.theirs, {"exit": 0})


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("tail", [-1, 10])
def test_a_follower_gets_each_line_once_across_rotations(path, compress, tail):
    """A reader that is fast enough gets every line once, even while log files are renamed and compressed."""
    children, end, got = Children(), End(), []
    compressor = Compressor(children, path) if compress else None
    writer = LogWriter(path, 2000, 40, compressor.start if compressor else None)
    writer.write("stdout", b"".join(b"%d\n" % n for n in range(1000, 1200)))

    def follow() -> None:
        options = LogOptions(follow=True, tail=tail)
        got.extend(int(line.data) for line in logs.read(path, options, lambda: end.ours))

    reader = threading.Thread(target=follow)
    reader.start()
    chance, n = random.Random(tail), 1200
    deadline = time.monotonic() + loaded(5)
    while not got and time.monotonic() < deadline:
        time.sleep(0.005)
    while n < 2000:
        count = chance.choice((1, 3, 30))
        writer.write("stdout", b"".join(b"%d\n" % m for m in range(n, n + count)))
        n += count
        if not children.reap(wait=False):
            time.sleep(0.002)
    writer.close()
    end.tell()
    reader.join(20)
    assert not reader.is_alive()
    assert got == list(range(1190 if tail == 10 else 1000, n))
    while children.reap():
        pass
    for descriptor in (end.ours, end.theirs):
        descriptor.close()


@pytest.mark.parametrize("files", [2, 5])
def test_lines_are_read_in_order_during_a_rotation(path, files):
    os.makedirs(os.path.dirname(path))
    done = threading.Event()

    def flood() -> None:
        writer = LogWriter(path, 300, files)
        for n in itertools.count(1000):
            writer.write("stdout", b"%d\n" % n)
            if done.is_set():
                break
        writer.close()

    writer = threading.Thread(target=flood)
    writer.start()
    try:
        for _ in range(150):
            if lines := numbers(path):
                assert lines == list(range(lines[0], lines[0] + len(lines)))
    finally:
        done.set()
        writer.join()


def test_a_reader_may_follow_a_log_before_it_exists(path):
    end, got = End(), []
    os.makedirs(os.path.dirname(path))

    def follow() -> None:
        got.extend(line.data for line in logs.read(path, LogOptions(follow=True), lambda: end.ours))

    reader = threading.Thread(target=follow)
    reader.start()
    time.sleep(0.1)
    writer = LogWriter(path, 100, 3)
    writer.write("stdout", b"1\n")
    time.sleep(0.1)
    writer.write("stdout", b"2\n3\n")
    writer.close()
    end.tell()
    reader.join(20)
    assert got == [b"1\n", b"2\n", b"3\n"]


def test_a_missing_directory_is_an_empty_log(path):
    end = End()
    assert list(logs.read(path, LogOptions(), lambda: end.ours)) == []
    assert list(logs.read(path, LogOptions(follow=True), lambda: end.ours)) == []


def test_readers_leave_no_descriptors(path):
    writer = LogWriter(path, 500, 20)
    writer.write("stdout", b"x\n" * 300)
    before = len(os.listdir("/proc/self/fd"))
    for tail in (-1, 0, 3):
        list(logs.read(path, LogOptions(tail=tail), lambda: pytest.fail("waits")))
    assert len(os.listdir("/proc/self/fd")) == before
    writer.close()


TORN = [
    b'{"log":"7\\n","stream":"stdout","time":"2024-01-01T00:0',
    b'{"log":"7\\n","stream":"stdout","time":"2024"}',
    b'{"log":"7\\n","stream":"stdout","time":7}',
    b'{"log":"7\\n","stream":"stdout"}',
    b"\0" * 5000,
    b"\xff\xfe[[",
    b"[" * 100_000,
    b"7",
]


@pytest.mark.parametrize("torn", TORN, ids=lambda torn: ascii(torn[:40]))
@pytest.mark.parametrize("options", [{}, {"tail": 5}, {"since": 1.0}, {"until": 4e9}], ids=str)
def test_a_torn_line_does_not_end_the_reading(path, torn, options):
    """A full disk or a power failure leaves incomplete lines in the middle of a log."""
    writer = LogWriter(path)
    write(writer, [1, 2])
    writer.close()
    with open(path, "ab") as file:
        file.write(torn)
    writer = LogWriter(path)
    write(writer, [3, 4])
    writer.close()
    assert numbers(path, **options) == [1, 2, 3, 4]


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_compressed_file_that_was_cut_off_does_not_end_the_reading(path, kept):
    with closing(LogWriter(path)) as writer:
        write(writer, range(1000, 1300))
    with open(path, "rb") as file:
        whole = gzip.compress(file.read())
    with open(path + ".1.gz", "wb") as file:
        file.write(whole[: int(len(whole) * kept)])
    os.truncate(path, 0)
    with closing(LogWriter(path)) as writer:
        write(writer, [2000, 2001])
    assert numbers(path)[-2:] == [2000, 2001]
    assert numbers(path, tail=2) == [2000, 2001]
