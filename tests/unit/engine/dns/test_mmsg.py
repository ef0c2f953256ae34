"""hawse reads many datagrams with one system call, and answers them with one more. The tests use real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from engine.dns.mmsg import ROOM, SIZE, Datagrams


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the UDP socket of a server, and the socket of a client that is connected to the server."""
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        client.settimeout(2)
        yield server, client


def test_known_queries_are_answered_under_their_ids_and_others_handed_over(pair):
    server, client = pair
    for query in (b"1:ping", b"2:what", b"3:", b"4", b"", b"5:ping"):
        client.send(query)
    unknown = []
    Datagrams().answer(server.fileno(), lambda: {b"ping": b"pong!"}.get, lambda *arrived: unknown.append(arrived))
    assert [client.recv(100) for _ in range(2)] == [b"1:pong!", b"5:pong!"]
    assert unknown == [(query, client.getsockname()) for query in (b"2:what", b"3:", b"4", b"")]


def test_one_call_receives_at_most_one_batch(pair):
    server, client = pair
    datagrams, known = Datagrams(), {b"ping": b"pong"}.get
    for number in range(SIZE + 3):
        client.send(number.to_bytes(2) + b"ping")
    for expected in (range(SIZE), range(SIZE, SIZE + 3)):
        datagrams.answer(server.fileno(), lambda: known, lambda *_: None)
        assert [int.from_bytes(client.recv(100)[:2]) for _ in expected] == list(expected)
    datagrams.answer(
        server.fileno(), lambda: known, lambda *_: None
    )  # returns immediately, because no query is waiting


def test_a_query_longer_than_its_buffer_is_cut(pair):
    server, client = pair
    client.send(bytes(ROOM + 1))
    unknown = []
    Datagrams().answer(server.fileno(), lambda: lambda _: None, lambda *arrived: unknown.append(arrived))
    assert unknown == [(bytes(ROOM), client.getsockname())]


def test_a_closed_client_does_not_prevent_answers_to_others(pair):
    server, client = pair
    with socket.socket(type=socket.SOCK_DGRAM) as gone:
        gone.connect(server.getsockname())
        gone.send(b"1:ping")
    client.send(b"2:ping")
    Datagrams().answer(server.fileno(), lambda: {b"ping": b"pong"}.get, lambda *_: None)
    assert client.recv(100) == b"2:pong"


def test_an_error_for_one_query_does_not_affect_the_others(pair):
    server, client = pair
    for query in (b"1:ping", b"2:oops"):
        client.send(query)
    with pytest.raises(ZeroDivisionError):
        Datagrams().answer(server.fileno(), lambda: {b"ping": b"pong"}.get, lambda *_: 1 // 0)
    assert client.recv(100) == b"1:pong"
