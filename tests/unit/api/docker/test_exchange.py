"""The tests check HTTP on one connection: keep-alive, bodies, chunked answers, hijacks and limits."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from api.docker.errors import ApiError, ClientGone, MalformedRequest
from api.docker.exchange import HEAD_LIMIT_BYTES, Exchange, date
from tests.conftest import loaded

PLAIN = (("Content-Type", "text/plain"),)


@pytest.fixture
def ends():
    server, client = socket.socketpair()
    client.settimeout(5)
    with server, client:
        yield Exchange(server, (("Ostype", "linux"),)), client


def test_an_unread_body_is_skipped_before_the_next_request(ends):
    exchange, client = ends
    client.sendall(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert exchange.next_request().target == b"/a"
    exchange.answer(200, PLAIN, b"one")
    assert exchange.next_cycle()
    assert exchange.next_request().target == b"/b"
    exchange.answer(404, PLAIN, b"two")
    text = client.recv(4096).decode()
    assert text.startswith("HTTP/1.1 200 OK\r\nOstype: linux\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n")
    assert text.endswith("\r\n\r\ntwo") and "HTTP/1.1 404 Not Found" in text


def test_the_date_has_the_form_of_http():
    assert date(784111777) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_a_head_that_is_no_http_or_too_long_is_refused(ends):
    exchange, client = ends
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1000)
    threading.Thread(target=lambda: client.sendall(b"y" * HEAD_LIMIT_BYTES)).start()
    with pytest.raises(MalformedRequest) as refused:
        exchange.next_request()
    exchange.refuse(refused.value)
    assert client.recv(4096).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        (b"Host: x\r\nA: a\x01b", b"400 Bad Request"),
        (b"Host: x\r\nA: a\x7fb", b"400 Bad Request"),
        (b"Host: x\r\nContent-Length: 9223372036854775808", b"400 Bad Request"),
        (b"Host: x\r\nContent-Length: " + 5000 * b"9", b"400 Bad Request"),
        (b"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: " + 5000 * b"9", b"400 Bad Request"),
        (b"Host: a/b", b"400 Bad Request: malformed Host header"),
        (b"Host: a b", b"400 Bad Request: malformed Host header"),
        (b"Host: x\r\nExpect: foo", b"417 Expectation Failed"),
    ],
)
def test_headers_that_go_s_server_refuses_are_refused(ends, headers, answer):
    exchange, client = ends
    client.sendall(b"GET / HTTP/1.1\r\n" + headers + b"\r\n\r\n")
    with pytest.raises(MalformedRequest) as refused:
        exchange.next_request()
    exchange.refuse(refused.value)
    assert client.recv(4096).startswith(b"HTTP/1.1 " + answer + b"\r\n")


def test_unusual_headers_that_go_s_server_accepts_are_accepted(ends):
    exchange, client = ends
    client.sendall(b"GET /a HTTP/1.1\r\nHost: %2Frun%2Fa.sock\r\nA: a\tb\xe9\r\nExpect: 100-Continue\r\n\r\n")
    assert exchange.next_request().target == b"/a"


def test_a_client_with_http_1_0_gets_an_answer_of_its_version(ends):
    exchange, client = ends
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    exchange.next_request()
    exchange.answer(200, PLAIN, b"one")
    assert client.recv(4096).startswith(b"HTTP/1.0 200 OK\r\n")
    assert not exchange.next_cycle()


@pytest.mark.parametrize(("length", "has_body"), [(b"0", False), (b"00", False), (b"02", True)])
def test_a_body_is_announced_by_a_length_other_than_zero(ends, length, has_body):
    exchange, client = ends
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
    exchange.next_request()
    assert exchange.has_body is has_body


def test_a_body_over_the_limit_is_refused(ends):
    exchange, client = ends
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    exchange.next_request()
    with pytest.raises(ApiError) as refused:
        exchange.read_body(4)
    assert refused.value.status == 413


def test_a_chunked_answer_ends_when_the_client_goes(ends):
    exchange, client = ends
    client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    exchange.next_request()
    stream = exchange.open_stream()
    stream.write(b"first")
    assert b"Transfer-Encoding: chunked" in (head := client.recv(4096)) and head.endswith(b"5\r\nfirst\r\n")
    assert list(stream.wait(0)) == []
    threading.Timer(0.2, client.close).start()
    began = time.monotonic()
    with pytest.raises(ClientGone):
        stream.wait(5)
    assert time.monotonic() - began < loaded(2)
    with pytest.raises(ClientGone):
        stream.wait(0)


def test_a_body_that_was_read_to_its_end_is_not_awaited_again(ends):
    exchange, client = ends
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    exchange.next_request()
    assert exchange.read_body(10) == (b"{}", "")
    began = time.monotonic()
    assert list(exchange.body()) == []
    exchange.answer(200, PLAIN, b"")
    assert exchange.next_cycle()
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    exchange.next_request()
    exchange.read_body(10)
    exchange.hijack("application/x-raw").close()
    assert time.monotonic() - began < loaded(1)


def test_a_finished_chunked_answer_keeps_the_connection(ends):
    exchange, client = ends
    client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    exchange.next_request()
    with exchange.open_stream() as stream:
        stream.write(b"x")
    assert client.recv(4096).endswith(b"1\r\nx\r\n0\r\n\r\n")
    assert exchange.next_cycle()


@pytest.mark.parametrize("upgrade", [True, False])
def test_a_hijack_returns_the_bare_connection_and_the_input_received_so_far(ends, upgrade):
    exchange, client = ends
    asked = "Upgrade: tcp\r\nConnection: Upgrade\r\n" if upgrade else ""
    client.sendall(f"POST /exec HTTP/1.1\r\nHost: x\r\n{asked}Content-Length: 2\r\n\r\n{{}}early".encode())
    exchange.next_request()
    with exchange.hijack("application/x-raw") as conversation:
        status = b"101 UPGRADED" if upgrade else b"200 OK"
        head = client.recv(4096)
        assert head.startswith(b"HTTP/1.1 " + status) and head.endswith(b"\r\n\r\n")
        assert conversation.received == b"early" and (b"\r\nUpgrade: tcp\r\n" in head) is upgrade
        client.sendall(b"late")
        client.shutdown(socket.SHUT_WR)
        assert conversation.socket.recv(10) == b"late"
        assert conversation.socket.recv(10) == b""
        conversation.socket.sendall(b"answer after the half-close")
    assert client.recv(100) == b"answer after the half-close"
    assert not exchange.next_cycle()


def test_a_client_that_waits_for_100_continue_gets_it(ends):
    exchange, client = ends
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    exchange.next_request()
    threading.Timer(0.1, lambda: client.sendall(b"ok")).start()
    assert exchange.read_body(10) == (b"ok", "")
    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_the_connection_ends_if_the_client_may_leave_out_the_body(ends):
    exchange, client = ends
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    client.shutdown(socket.SHUT_WR)
    exchange.next_request()
    exchange.answer(404, PLAIN, b"no")
    assert b"\r\nConnection: close\r\n" in client.recv(4096)
    assert not exchange.next_cycle()


def test_a_request_without_body_keeps_the_connection_in_spite_of_expect(ends):
    exchange, client = ends
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n")
    exchange.next_request()
    exchange.answer(200, PLAIN, b"yes")
    assert exchange.next_cycle()
