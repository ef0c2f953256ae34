"""A command waits for the answer of a resident process that is stopped or slow.

Another test checks that the signature in a lock file names only a living process.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.linux import process
from engine.runtime import resident

SERVER = """
import os, socket, sys, time
os.chdir(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind("server.sock")
listener.listen()
print(flush=True)
time.sleep(60)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[socket.socket, subprocess.Popen]]:
    """A process that listens and never answers, and a connection to it."""
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE) as listening:
        assert listening.stdout.readline() == b"\n"
        with (
            socket.socket(socket.AF_UNIX) as connection,
            resident.socket_address(str(tmp_path), "server.sock") as address,
        ):
            connection.connect(address)
            yield connection, listening
        listening.kill()


def test_a_stopped_server_is_killed_and_its_end_can_be_read(server):
    connection, listening = server
    os.kill(listening.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert resident.await_answer(connection, None)
    assert time.monotonic() - began < 3
    assert listening.wait(5) == -signal.SIGKILL


def test_a_slow_server_is_not_killed(server):
    connection, listening = server
    assert not resident.await_answer(connection, 1.2)
    assert listening.poll() is None


def test_a_stopped_server_that_continues_is_not_killed(server):
    connection, listening = server
    os.kill(listening.pid, signal.SIGSTOP)
    while not process.is_stopped(listening.pid):
        time.sleep(0.001)
    assert resident.kill_if_stopped(connection, before=False)
    os.kill(listening.pid, signal.SIGCONT)
    while process.is_stopped(listening.pid):
        time.sleep(0.001)
    assert not resident.kill_if_stopped(connection, before=True)
    assert listening.poll() is None


def test_a_signature_names_its_living_process_only(tmp_path):
    lock = os.open(tmp_path / "x.lock", os.O_RDWR | os.O_CREAT)
    assert resident.holder(str(tmp_path), "x.lock") == 0
    resident.sign(lock)
    assert resident.holder(str(tmp_path), "x.lock") == os.getpid()
    os.pwrite(lock, b"%d:1" % os.getpid(), 0)
    assert resident.holder(str(tmp_path), "x.lock") == 0
    os.close(lock)
