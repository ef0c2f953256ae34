"""The tests check by which rules a server accepts or refuses the process at the other end of a socket.

They also check the rules on older kernels, and how a client waits for a stopped or slow server.
"""

from __future__ import annotations

import copy
import errno
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
from engine.runtime import peer
from tests.conftest import loaded


class Failing(socket.socket):
    """A socket for which the kernel returns no pidfd of the process at the other end.

    The field ``fault`` is the kernel's error number.
    """

    fault = errno.ENOPROTOOPT

    def getsockopt(self, level, option, *size):
        if option == peer.SO_PEERPIDFD:
            raise OSError(self.fault, os.strerror(self.fault))
        return super().getsockopt(level, option, *size)


@pytest.fixture
def connection():
    """Yield a socket whose other end belongs to this process. The kernel returns no pidfd for this socket."""
    left, right = socket.socketpair()
    with left, Failing(fileno=right.detach()) as failing:
        yield failing


@pytest.fixture
def identity():
    return peer.own_rights()


def test_this_process_may_act_for_itself(connection, identity):
    """The kernel has no pidfd of the process at the other end, as before Linux 6.5.

    Even without the pidfd, a process may send requests to itself.
    """
    assert peer.objection(connection, identity) == ""
    assert peer.credentials(connection) == (os.getpid(), os.geteuid(), os.getegid())


@pytest.mark.parametrize("fault", [errno.ESRCH, errno.EINVAL])
def test_an_ended_peer_is_not_searched_by_its_pid(connection, identity, monkeypatch, fault):
    monkeypatch.setattr(Failing, "fault", fault)
    assert peer.objection(connection, identity) == "cannot be identified"
    assert not peer.is_genuine(connection)


def test_peer_in_another_pid_namespace_cannot_be_identified(connection, identity, monkeypatch):
    monkeypatch.setattr(peer, "credentials", lambda _: (0, os.geteuid(), 0))
    assert peer.objection(connection, identity) == "cannot be identified"


@pytest.mark.parametrize(
    "name, value, why",
    [
        ("user", -1, "is of another user"),
        ("user_namespace", -1, "is in another user namespace"),
        ("capabilities", 1 << 63, "lacks some of its capabilities"),
        ("filters", -1, "is under a seccomp filter"),
        ("network", -1, "is in another network namespace"),
    ],
)
def test_server_with_any_right_that_the_peer_lacks_refuses(connection, identity, name, value, why):
    server = copy.copy(identity)
    setattr(server, name, value)
    assert peer.objection(connection, server) == why


def test_server_with_fewer_rights_serves(connection, identity):
    server = copy.copy(identity)
    server.capabilities, server.filters, server.network = 0, identity.filters + 1, 0
    assert peer.objection(connection, server) == ""


def test_identity_is_that_of_the_process():
    assert peer.identity(os.getpid()) == peer.identity(os.getpid())
    with pytest.raises(OSError, match="No such file"):
        peer.identity(2**22)


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
    """Yield a connection to a process that never answers, and this process."""
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE) as listening:
        assert listening.stdout.readline() == b"\n"
        with (
            socket.socket(socket.AF_UNIX) as connection,
            peer.socket_address(str(tmp_path), "server.sock") as address,
        ):
            connection.connect(address)
            yield connection, listening
        listening.kill()


def test_a_stopped_server_is_killed_and_its_end_can_be_read(server):
    connection, listening = server
    os.kill(listening.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert peer.await_answer(connection, None)
    assert time.monotonic() - began < loaded(3)
    assert listening.wait(5) == -signal.SIGKILL


def test_a_slow_server_is_not_killed(server):
    connection, listening = server
    assert not peer.await_answer(connection, 1.2)
    assert listening.poll() is None


def test_a_stopped_server_that_continues_is_not_killed(server):
    connection, listening = server
    os.kill(listening.pid, signal.SIGSTOP)
    while not process.is_stopped(listening.pid):
        time.sleep(0.001)
    assert peer.kill_if_stopped(connection, before=False)
    os.kill(listening.pid, signal.SIGCONT)
    while process.is_stopped(listening.pid):
        time.sleep(0.001)
    assert not peer.kill_if_stopped(connection, before=True)
    assert listening.poll() is None
