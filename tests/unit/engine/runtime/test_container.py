"""A container in the supervisor: every client that waits for its end gets the answer."""

from __future__ import annotations

import socket

from engine.eventloop.loop import Loop
from engine.runtime import protocol
from engine.runtime.connection import Connection
from engine.runtime.container import Container
from engine.runtime.supervisor import Supervisor


def test_a_client_that_has_gone_does_not_take_the_answer_of_the_next_client():
    container, supervisor, loop = Container.__new__(Container), Supervisor.__new__(Supervisor), Loop(catches=False)
    container.waiters, container.stage, container.exit_code, container.ended_at = [], "running", 7, 1.5
    supervisor._clients = set()
    pairs = [socket.socketpair() for _ in range(3)]
    for ours, _ in pairs:
        supervisor._tell_end(Connection(loop, ours, lambda _: None), container)
    pairs[0][1].close()
    container._answer_waiters()
    for _, theirs in pairs[1:]:
        theirs.settimeout(5)
        assert protocol.receive(theirs) == {"exit": 7, "at": 1.5}
