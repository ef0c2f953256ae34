"""The tests check a client's TCP connection to the DNS resolver, over a real socket pair.

The test decides when the resolver's answers come.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from engine.dns import tcp_client
from engine.dns.tcp_client import BACKLOG, DUE, LONGEST_QUERY, StreamClient
from engine.eventloop.loop import Loop

Deliver = Callable[[bytes], None]


def framed(*messages: bytes) -> bytes:
    return b"".join(len(m).to_bytes(2, "big") + m for m in messages)


class Server:
    """A double of the resolver, which collects the queries of a connection.

    The test chooses when each query is answered.
    """

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
        """Run the event loop ``rounds`` times, for 5 ms each time."""
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


def test_a_client_that_has_shut_down_its_sending_side_still_gets_its_answers(server):
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


def test_other_clients_are_served_after_a_few_queries_of_one_that_sends_very_many(server):
    answered = []
    server.answer = lambda message: answered.append(message) or b"reply"
    query = bytes(30)
    server.client.sendall(framed(*[query] * 1000))
    server.loop.after(0, server.loop.stop)
    server.loop.run()
    assert 0 < len(answered) <= 32
    server.turn(20)
    assert len(answered) == 1000


def test_further_queries_wait_while_many_answers_are_pending(server):
    server.client.sendall(framed(*(str(n).encode() for n in range(3 * DUE))))
    server.turn()
    assert len(server.asked) == DUE
    for number in range(3 * DUE):
        message, deliver = server.asked[number]
        assert message == str(number).encode()
        deliver(b"")
    assert len(server.asked) == 3 * DUE


def test_queries_of_a_client_that_reads_no_answers_wait_and_none_is_lost(server):
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


def test_single_bytes_do_not_keep_a_connection_open(monkeypatch):
    monkeypatch.setattr(tcp_client, "IDLE_SECONDS", 0.1)
    server = Server()
    server.client.send(b"\1\0")
    for _ in range(60):
        if not server.closed:
            server.client.send(b"x")
            server.turn()
    assert server.closed and not server.asked
    server.client.close()
    server.loop.close()


def test_complete_queries_keep_a_connection_open(monkeypatch):
    monkeypatch.setattr(tcp_client, "IDLE_SECONDS", 0.1)
    server = Server()
    server.answer = bytes.upper
    for _ in range(40):
        server.client.sendall(framed(b"ping"))
        server.turn()
        assert server.client.recv(100) == framed(b"PING")
    assert not server.closed
    server.turn(60)
    assert server.closed
    server.client.close()
    server.loop.close()


def test_message_that_is_too_long_for_a_query_ends_the_connection(server):
    server.answer = bytes.upper
    server.client.sendall(framed(b"ping", bytes(LONGEST_QUERY)))
    server.turn(3)
    assert not server.closed and len(server.client.recv(1 << 20)) == 6 + 2 + LONGEST_QUERY
    server.client.sendall((LONGEST_QUERY + 1).to_bytes(2, "big"))
    server.turn()
    assert server.closed


def test_empty_message_ends_the_connection(server):
    server.client.sendall(b"\0\0")
    server.turn()
    assert server.closed and not server.asked


def test_a_client_that_reads_nothing_is_disconnected_above_a_limit_of_unsent_answers(server):
    server.connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    server.client.sendall(framed(*[b"?"] * DUE))
    server.turn()
    for _, deliver in server.asked:
        deliver(bytes(60_000))
        assert len(server.connection._out) <= BACKLOG + 60_002
    assert server.closed
