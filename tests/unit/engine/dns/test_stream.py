"""A client's TCP connection, over a real pair of sockets; answers come when the test gives them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from engine.agent.loop import Loop
from engine.dns.stream import BACKLOG, DUE, StreamClient

Deliver = Callable[[bytes], None]


def framed(*messages: bytes) -> bytes:
    return b"".join(len(m).to_bytes(2, "big") + m for m in messages)


class Server:
    """What a connection asks, and is told."""

    def __init__(self) -> None:
        self.loop, self.closed = Loop(), False
        self.client, ours = socket.socketpair()
        self.client.settimeout(2)
        self.asked: list[tuple[bytes, Deliver]] = []
        self.answer: Callable[[bytes], bytes | None] = lambda message: None
        self.connection = StreamClient(self.loop, ours, self._respond, self._closed)

    def _respond(self, message: bytes, deliver: Deliver) -> None:
        reply = self.answer(message)
        if reply is None:
            self.asked.append((message, deliver))
        else:
            deliver(reply)

    def _closed(self, _connection: StreamClient) -> None:
        self.closed = True

    def turn(self, rounds: int = 1) -> None:
        """Let the loop go round."""
        for _ in range(rounds):
            self.loop.after(0.005, self.loop.stop)
            self.loop.run()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.connection.close()
    made.client.close()
    made.loop.close()


def test_client_that_has_ended_its_half_still_gets_its_answers(server):
    server.client.sendall(framed(b"one", b"two") + b"\0")
    server.client.shutdown(socket.SHUT_WR)
    server.turn(2)
    assert [message for message, _ in server.asked] == [b"one", b"two"]
    assert not server.closed
    for message, deliver in reversed(server.asked):
        deliver(message.upper())
    assert server.client.recv(100) == framed(b"TWO", b"ONE")
    assert server.client.recv(100) == b""
    assert server.closed


def test_questions_wait_while_many_answers_are_due(server):
    server.client.sendall(framed(*(str(n).encode() for n in range(3 * DUE))))
    server.turn()
    assert len(server.asked) == DUE
    for number in range(3 * DUE):
        message, deliver = server.asked[number]
        assert message == str(number).encode()
        deliver(b"")
    assert len(server.asked) == 3 * DUE


def test_who_does_not_fetch_answers_is_asked_no_more_and_loses_none(server):
    answered: list[bytes] = []
    server.answer = lambda message: answered.append(message) or bytes(60000)
    server.client.sendall(framed(*[b"?"] * 100))
    server.client.shutdown(socket.SHUT_WR)
    server.turn(5)
    assert len(answered) * 60000 < 10 * BACKLOG
    received = 0
    while data := server.client.recv(1 << 20):
        received += len(data)
        server.turn()
    assert received == 100 * 60002


def test_a_connection_has_one_timer_however_much_it_asks(server):
    server.answer = bytes.upper
    for _ in range(50):
        server.client.sendall(framed(*[b"ping"] * 10))
        server.turn()
        assert server.client.recv(1000) == framed(*[b"PING"] * 10)
    assert len(server.loop._timers) == 1
