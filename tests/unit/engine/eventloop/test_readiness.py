from __future__ import annotations

import fcntl
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from engine.eventloop.readiness import wait_readable, wait_ready

HIGH = 2000
"""A number from which select(2) can no longer wait for a descriptor."""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_a_descriptor_with_a_high_number_is_waited_for(pair):
    left, right = pair
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, HIGH + 100), hard))
    high = fcntl.fcntl(left, fcntl.F_DUPFD_CLOEXEC, HIGH)
    try:
        assert wait_readable([high], seconds=0) == []
        right.send(b".")
        assert wait_ready([high], [high]) == ([high], [high])
    finally:
        os.close(high)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_only_the_ready_descriptors_are_returned(pair):
    left, right = pair
    right.send(b".")
    assert wait_ready([left, right], [right]) == ([left.fileno()], [right.fileno()])
    assert wait_ready([right], [], 0.01) == ([], [])


def test_the_end_of_the_other_side_is_ready_to_read(pair):
    left, right = pair
    right.close()
    assert wait_readable([left]) == [left.fileno()]


def test_a_pipe_without_reader_is_ready_to_write():
    reader, writer = os.pipe()
    os.close(reader)
    assert wait_ready([], [writer]) == ([], [writer])
    os.close(writer)


def test_a_closed_descriptor_is_an_error(pair):
    number = pair[0].fileno()
    pair[0].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        wait_readable([number], seconds=1)
