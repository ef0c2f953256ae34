"""The rules by which a server accepts or refuses the process at the other end of a socket.

The tests also check which rules apply on older kernels.
"""

from __future__ import annotations

import copy
import errno
import os
import socket

import pytest

from engine.runtime import peer


class Failing(socket.socket):
    """A socket for which the kernel returns no pidfd of the process at the other end. The field ``fault`` is the
    kernel's error number.
    """

    fault = errno.ENOPROTOOPT

    def getsockopt(self, level, option, *size):
        if option == peer.SO_PEERPIDFD:
            raise OSError(self.fault, os.strerror(self.fault))
        return super().getsockopt(level, option, *size)


@pytest.fixture
def connection():
    """A socket whose other end belongs to this process."""
    left, right = socket.socketpair()
    with left, Failing(fileno=right.detach()) as failing:
        yield failing


@pytest.fixture
def own():
    return peer.own_rights()


def test_this_process_may_act_for_itself(connection, own):
    """The kernel has no pidfd of the process at the other end, as before Linux 6.5.

    A process may send requests to itself even then.
    """
    assert peer.objection(connection, own) == ""
    assert peer.credentials(connection) == (os.getpid(), os.geteuid(), os.getegid())


@pytest.mark.parametrize("fault", [errno.ESRCH, errno.EINVAL])
def test_an_ended_peer_is_not_searched_by_its_pid(connection, own, monkeypatch, fault):
    monkeypatch.setattr(Failing, "fault", fault)
    assert peer.objection(connection, own) == "cannot be identified"
    assert not peer.is_genuine(connection)


def test_peer_in_another_pid_namespace_cannot_be_identified(connection, own, monkeypatch):
    monkeypatch.setattr(peer, "credentials", lambda _: (0, os.geteuid(), 0))
    assert peer.objection(connection, own) == "cannot be identified"


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
def test_server_with_any_right_that_the_peer_lacks_refuses(connection, own, name, value, why):
    server = copy.copy(own)
    setattr(server, name, value)
    assert peer.objection(connection, server) == why


def test_server_with_fewer_rights_serves(connection, own):
    server = copy.copy(own)
    server.capabilities, server.filters, server.network = 0, own.filters + 1, 0
    assert peer.objection(connection, server) == ""


def test_identity_is_that_of_the_process():
    assert peer.identity(os.getpid()) == peer.identity(os.getpid())
    with pytest.raises(OSError, match="No such file"):
        peer.identity(2**22)
