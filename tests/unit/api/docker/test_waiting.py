"""The tests check which connections hawse shuts down when too many connections wait for a request of their client."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from api.docker.waiting import Waiting


def test_the_connection_that_has_waited_longest_without_input_is_shut_down():
    waiting = Waiting(limit=2)
    with ExitStack() as stack:
        pairs = [tuple(stack.enter_context(each) for each in socket.socketpair()) for _ in range(4)]
        members = [stack.enter_context(waiting.member(server)) for server, _ in pairs[:1]]
        pairs[0][1].sendall(b"G")
        members += [stack.enter_context(waiting.member(server)) for server, _ in pairs[1:3]]
        for _, client in pairs:
            client.setblocking(False)
        assert pairs[1][1].recv(1) == b""
        assert [has_ended(client) for _, client in pairs] == [False, True, False, False]
        stack.enter_context(waiting.member(pairs[3][0]))
        assert [has_ended(client) for _, client in pairs] == [False, True, True, False]


def test_a_connection_that_no_longer_waits_does_not_count():
    waiting = Waiting(limit=1)
    first, second = socket.socketpair(), socket.socketpair()
    with first[0], first[1], second[0], second[1]:
        with waiting.member(first[0]):
            pass
        with waiting.member(second[0]):
            first[1].setblocking(False)
            assert not has_ended(first[1])


def has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
