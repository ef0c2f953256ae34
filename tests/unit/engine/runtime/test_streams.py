"""The tests check log entries, stream frames and the files of a container, without a container process."""

from __future__ import annotations

import json
import os
import socket

import pytest

from engine.model import LogOptions
from engine.runtime import logs, protocol
from engine.runtime.directory import ENDED, ContainerDirectory
from engine.runtime.jsonlog import LogWriter, encode_entry, format_time
from engine.runtime.terminal import DetachKeys


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_795_473_811_619_643_186, "2026-11-23T22:43:31.619643186Z"),
        (1_795_473_811_619_600_000, "2026-11-23T22:43:31.6196Z"),
    ],
)
def test_times_are_written_as_go_writes_them(nanoseconds, text):
    assert format_time(nanoseconds) == text


@pytest.mark.parametrize(
    "data", [b"plain\n", b'"quotes" \\ and \t \x1b[0m\r\n', "üñí €\n".encode(), b"<script>&</script>\n", b"\x00\x7f"]
)
def test_the_text_of_a_json_entry_is_decoded_unchanged(data):
    line = encode_entry("stdout", data, 0)
    assert line.count(b"\n") == 1
    assert json.loads(line)["log"].encode() == data
    assert not set(line) & set(b"<>&\x1b")


def test_a_line_written_in_pieces_becomes_one_entry(tmp_path):
    writer = LogWriter(str(tmp_path / "sub" / "log"))
    for piece in (b"one\ntw", b"o", b"\nthr"):
        writer.write("stdout", piece)
    writer.write("stderr", b"err\n")
    writer.close()
    entries = [json.loads(line) for line in (tmp_path / "sub" / "log").read_text().splitlines()]
    assert [(e["stream"], e["log"]) for e in entries] == [
        ("stdout", "one\n"),
        ("stdout", "two\n"),
        ("stderr", "err\n"),
        ("stdout", "thr"),
    ]


@pytest.mark.parametrize("tail", [-1, 0, 1, 7, 5000, 9999])
def test_tail_of_a_long_log(tmp_path, tail):
    path = tmp_path / "log"
    lines = [encode_entry("stdout", b"line %d %s\n" % (n, b"x" * (n % 200)), n * 10**9) for n in range(5000)]
    path.write_bytes(b"".join(lines) + b'{"log":"half an ent')
    got = list(logs.read(str(path), LogOptions(tail=tail), lambda: pytest.fail("nothing to wait for")))
    first = 0 if tail in (-1, 9999) else 5000 - tail
    assert [int(line.data.split()[1]) for line in got] == list(range(first, 5000))[: len(got)]
    assert len(got) >= min(5000, tail if tail >= 0 else 5000) - 1


def test_frames_are_decoded_from_pieces_of_any_size():
    frames = [(protocol.STDOUT, b"data"), (protocol.CONTROL, b'{"a": 1}'), (protocol.STDIN, b"")]
    sent = b"".join(protocol.frame(*frame) for frame in frames)
    decoder = protocol.Decoder()
    assert [f for byte in sent for f in decoder.feed(bytes([byte]))] == frames
    assert list(protocol.Decoder().feed(sent)) == frames


def test_frame_too_long_is_refused():
    with pytest.raises(protocol.Broken):
        list(protocol.Decoder().feed(b"\x00\xff\xff\xff\xff"))


def test_descriptors_travel_with_a_control_frame():
    left, right = socket.socketpair()
    with left, right:
        protocol.send(left, {"op": "x"}, [0, 1])
        data, fds = protocol.receive_with_fds(right)
    assert [json.loads(payload) for _, payload in protocol.Decoder().feed(data)] == [{"op": "x"}]
    assert len(fds) == 2
    for fd in fds:
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_detach_keys_are_found_across_reads():
    keys = DetachKeys()
    assert keys.filter(b"abc") == (b"abc", False)
    assert keys.filter(b"a\x10") == (b"a", False)
    assert keys.filter(b"b") == (b"\x10b", False)
    assert keys.filter(b"x\x10") == (b"x", False)
    assert keys.filter(b"\x11rest") == (b"", True)


def test_files_of_a_container(tmp_path):
    directory = ContainerDirectory(str(tmp_path), "abc")
    assert directory.read("spec") is None
    directory.create({"argv": ["\udcff"]})
    directory.write("exit", {"code": 3})
    assert directory.read("spec") == {"argv": ["\udcff"]}
    directory.create({})
    assert directory.read("exit") is None
    directory.remove()
    directory.remove()
    directory.write("exit", {"code": 3})
    assert directory.read("exit") is None


def test_an_ended_container_is_listed_until_its_files_are_removed(tmp_path):
    directory, listed = ContainerDirectory(str(tmp_path), "c1"), tmp_path / ENDED
    directory.create({})
    assert not listed.exists()
    directory.write("exit", {"code": 3})
    assert os.listdir(listed) == ["c1"]
    directory.create({})
    assert os.listdir(listed) == []
    directory.write("exit", {"code": 3})
    directory.remove()
    directory.write("exit", {"code": 3})
    assert os.listdir(listed) == []
