"""hawse connects to the first etcd member that is ready. A silent member must not use up a command's whole timeout."""

import json
import socket
import threading
import time
from tempfile import TemporaryDirectory

import pytest

from engine.cluster.etcd import Client, EtcdError, EtcdUnavailable
from engine.cluster.etcd.dial import HEAD_START_SECONDS, NobodyReady, first
from tests.conftest import loaded


class Ready:
    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


def test_if_all_members_are_ready_the_first_in_the_list_is_used():
    assert first(["a", "b"], lambda url: Ready(), 5)[0] == "a"


def test_a_silent_member_costs_only_its_head_start_and_is_closed_later():
    late, over = Ready(), threading.Event()

    def ready(url):
        return Ready() if url == "good" or not over.wait(5) else late

    began = time.monotonic()
    assert first(["silent", "good"], ready, 5)[0] == "good"
    assert HEAD_START_SECONDS <= time.monotonic() - began < 2
    over.set()
    assert late.closed.wait(5)


def test_a_member_that_refuses_costs_no_time():
    def ready(url):
        if url == "bad":
            raise OSError("refused")
        return Ready()

    began = time.monotonic()
    assert first(["bad", "good"], ready, 5)[0] == "good"
    assert time.monotonic() - began < HEAD_START_SECONDS


def test_a_url_that_is_in_the_list_twice_is_asked_once():
    asked = []

    def ready(url):
        asked.append(url)
        raise OSError("refused")

    began = time.monotonic()
    with pytest.raises(NobodyReady):
        first(["bad", "bad"], ready, 5)
    assert time.monotonic() - began < loaded(2) and asked == ["bad"]


def test_if_no_member_is_ready_the_error_has_the_reason_of_each():
    def ready(url):
        if url == "bad":
            raise OSError("refused")
        threading.Event().wait(3)
        return Ready()

    began = time.monotonic()
    with pytest.raises(NobodyReady) as caught:
        first(["silent", "bad"], ready, 0.5)
    assert time.monotonic() - began < loaded(2)
    assert isinstance(caught.value.problems["silent"], TimeoutError) and str(caught.value.problems["bad"]) == "refused"


class Member:
    """A double of an etcd member. The double answers each request with the same document, or never answers.

    A test can give other documents and HTTP statuses for the first answers, or the bytes of a whole answer.
    """

    def __init__(self, answer=None, status=200, first=()):
        self.listener = socket.socket(socket.AF_UNIX)
        self.directory = TemporaryDirectory()  # its path is short enough for a Unix socket
        path = f"{self.directory.name}/member"
        self.listener.bind(path)
        self.listener.listen()
        self.url = f"unix:{path}"
        self.answer, self.status, self.first, self.asked = answer, status, list(first), []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while self.answer is not None:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve_one, args=(connection,), daemon=True).start()

    def serve_one(self, connection):
        with connection, connection.makefile("rb") as file:
            while line := file.readline():
                self.asked.append(line.split()[1].decode())
                length = 0
                while (header := file.readline().strip()) != b"":
                    name, _, value = header.partition(b":")
                    length = int(value) if name == b"Content-Length" else length
                file.read(length)
                answer, status = self.first.pop(0) if self.first else (self.answer, self.status)
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                    continue
                body = json.dumps(answer).encode()
                connection.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


EMPTY = {"token": "t", "header": {"revision": "7"}}


def test_a_member_that_accepts_and_never_answers_is_skipped_and_then_asked_last():
    silent, good, switched = Member(), Member(EMPTY), []
    client = Client([silent.url, good.url], user="u", password="p", switched=switched.append)
    began = time.monotonic()
    assert client.range("x") == ([], 7)
    assert time.monotonic() - began < loaded(2)
    client.close()
    began = time.monotonic()
    client.range("x")
    assert time.monotonic() - began < HEAD_START_SECONDS
    assert switched == [good.url]


def test_a_member_without_quorum_is_unavailable_and_a_wrong_password_is_an_error():
    alone = Member({"code": 14, "message": "etcdserver: no leader"}, 503)
    with pytest.raises(EtcdUnavailable, match=r"does not answer \(this host: etcdserver: no leader\)"):
        Client([alone.url], user="u", password="p").range("x")
    strict = Member({"code": 3, "message": "etcdserver: authentication failed"}, 400)
    with pytest.raises(EtcdError, match="refuses: etcdserver: authentication failed"):
        Client([strict.url], user="u", password="p").range("x")


def test_a_call_waits_while_the_members_elect_a_leader_and_is_then_repeated():
    electing = {"code": 14, "message": "etcdserver: no leader"}, 503
    member = Member(EMPTY, first=[electing, electing, (EMPTY, 200), electing])
    assert Client([member.url]).range("x") == ([], 7)
    assert member.asked == ["/v3/kv/range"] * 6


def test_a_token_from_before_another_host_joined_is_renewed():
    old = {"code": 3, "message": "etcdserver: revision of auth store is old"}, 400
    member = Member(EMPTY, first=[(EMPTY, 200), old])
    assert Client([member.url], user="u", password="p").range("x") == ([], 7)
    assert member.asked == ["/v3/auth/authenticate", "/v3/kv/range"] * 2


CHUNKED = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 x\r\nContent-Length: many\r\n\r\n{}", CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"],
    ids=["length", "chunk"],
)
def test_after_an_answer_without_a_size_the_connection_is_closed(answer):
    member = Member(EMPTY, first=[(EMPTY, 200), (answer, 200)])
    client = Client([member.url], user="u", password="p")
    with pytest.raises(EtcdUnavailable, match="does not answer: not an http answer"):
        client.range("x")
    assert client.range("x") == ([], 7)
    assert member.asked == ["/v3/auth/authenticate", "/v3/kv/range"] * 2


def test_a_watch_reports_an_answer_without_a_size():
    member = Member(EMPTY, first=[(EMPTY, 200), (CHUNKED + b"zz\r\n", 200)])
    with pytest.raises(EtcdUnavailable, match="went silent: not an http answer"):
        list(Client([member.url], user="u", password="p").watch("x", 1, 5))


def test_silent_members_are_reported_within_four_seconds():
    members = [Member(), Member(), Member()]
    began = time.monotonic()
    with pytest.raises(EtcdUnavailable, match="timed out"):
        Client([m.url for m in members], user="u", password="p").range("x")
    assert time.monotonic() - began < loaded(6)
    again = time.monotonic()
    with pytest.raises(EtcdUnavailable, match="timed out"):
        Client([m.url for m in members], user="u", password="p").range("x")
    assert time.monotonic() - again < loaded(1), "one command waits once, whatever it asks"
