from __future__ import annotations

import os
import signal
import socket

import pytest

from cli.launcher.launch import send_request
from cli.warm.request import MalformedRequest, receive


@pytest.fixture
def ends():
    pair = socket.socketpair()
    yield pair
    for end in pair:
        end.close()


def test_the_server_receives_the_request_that_the_launcher_sends(ends, monkeypatch):
    monkeypatch.setattr("sys.argv", ["hawse", "run", "", "tw\udcffo"])
    monkeypatch.setattr("posix.environ", {b"A": b"1=2", b"EMPTY": b"", b"BYTES": b"\xff"})
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        send_request(ends[0], [0, 2])
    finally:
        signal.signal(signal.SIGHUP, before)
    request = receive(ends[1])
    assert request.arguments == ["run", "", "tw\udcffo"]
    assert request.environment == {b"A": b"1=2", b"EMPTY": b"", b"BYTES": b"\xff"}
    assert (request.ignored, sorted(request.streams)) == ([signal.SIGHUP], [0, 2])
    assert os.path.samestat(os.fstat(request.directory), os.stat("."))
    assert os.path.samestat(os.fstat(request.root), os.stat("/"))
    assert os.path.samestat(os.fstat(request.mounts), os.stat("/proc/self/ns/mnt"))
    assert os.path.samestat(os.fstat(request.network), os.stat("/proc/self/ns/net"))
    for fd in (*request.streams.values(), request.directory, request.root, request.mounts, request.network):
        os.close(fd)


@pytest.mark.parametrize(
    "sent", [b"", b"\0\0", b"\0\0\0\5abc", b"\0\0\0\3abc", b"\xff\xff\xff\xffabc", b"\0\0\0\5a\x001 2"]
)
def test_a_malformed_request_is_refused(ends, sent):
    ends[0].sendall(sent)
    ends[0].close()
    with pytest.raises(MalformedRequest):
        receive(ends[1])
