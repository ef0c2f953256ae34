"""A manager's server over real TLS on the loopback interface.

The tests check what a joining host verifies before the host sends its secret (the join token).
"""

import socket
import ssl
import threading
from datetime import timedelta

import pytest

from engine.cluster.keys import MANAGER_NAME
from engine.errors import EngineError, Unavailable
from engine.swarm import pki
from engine.swarm.enrollment import Manager, enroll
from engine.swarm.server import http
from engine.swarm.token import JoinToken, digest_of, new_secret


class Impostor:
    """A false server that gives the same answer to every request, and records the requested paths.

    The answer is ``raw``. If ``raw`` is empty, the answer is that of a manager.
    """

    def __init__(self, directory, authority, certificate, key, raw=b""):
        (directory / "c.pem").write_text(certificate)
        (directory / "k.pem").write_text(key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(directory / "c.pem", directory / "k.pem")
        self.raw = raw or http.answer(200, {"authority": authority, "role": "worker"})
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def manager(self):
        return Manager("127.0.0.1", self.listener.getsockname()[1])

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                with self.context.wrap_socket(connection, server_side=True) as secure:
                    request = http.read(secure.makefile("rb"), 1 << 16)
                    self.asked.append(request.path)
                    secure.sendall(self.raw)
            except ssl.SSLError:
                continue
            except OSError:
                return


@pytest.fixture
def authority():
    key = pki.new_key()
    return pki.new_authority(key), key


def door(directory, authority, *, manager=True, raw=b""):
    key = pki.new_key()
    addresses = ["127.0.0.1"] if manager else []
    certificate = pki.issue(*authority, pki.request(key), MANAGER_NAME, addresses)
    return Impostor(directory, authority[0], certificate, key, raw)


def join(server, digest):
    return enroll(server.manager, JoinToken(digest, new_secret()), {})


def test_a_manager_of_the_right_authority_gets_the_secret(tmp_path, authority):
    server = door(tmp_path, authority)
    assert join(server, digest_of(authority[0]))["role"] == "worker"
    assert server.asked == ["/hawse/authority", "/hawse/join"]


def test_a_manager_of_another_authority_does_not_get_the_secret(tmp_path, authority):
    server = door(tmp_path, authority)
    with pytest.raises(EngineError, match="remote CA does not match fingerprint"):
        join(server, digest_of("another"))
    assert server.asked == ["/hawse/authority"]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        *(http.packed(200, text) for text in (b"[]", b"7", b"null", b"{", b"\xff", b"[" * 100_000)),
        *(http.packed(503, text) for text in (b"[]", b'{"code": "x"}', b'{"error": {"grpc_code": []}}')),
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + b"x" * (4 << 20),
        http.packed(200, b'{"authority": "' + b"x" * (4 << 20) + b'"}'),
        CHUNKED + b"ffffffffffffffffffff\r\n",
        CHUNKED + b"-1\r\n" + b"x" * (4 << 20),
        CHUNKED + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 64 + b"0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=lambda raw: repr(raw[:20] + raw[-24:]),
)
def test_a_server_that_does_not_answer_as_a_manager_is_reported(tmp_path, authority, raw):
    server = door(tmp_path, authority, raw=raw)
    with pytest.raises(Unavailable):
        join(server, digest_of(authority[0]))
    assert server.asked == ["/hawse/authority"]


def test_a_worker_s_certificate_cannot_pass_for_a_manager_s(tmp_path, authority):
    server = door(tmp_path, authority, manager=False)
    with pytest.raises(Unavailable, match="certificate is not valid"):
        join(server, digest_of(authority[0]))
    assert server.asked == ["/hawse/authority"]


def test_the_error_for_a_clock_that_is_behind_mentions_the_clocks(tmp_path, authority, monkeypatch):
    monkeypatch.setattr(pki, "TOLERANCE", -timedelta(days=2))
    server = door(tmp_path, authority)
    with pytest.raises(Unavailable, match="not yet valid: compare the clocks"):
        join(server, digest_of(authority[0]))
