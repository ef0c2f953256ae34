"""Some clients connect to a manager and never complete a request.

The manager must close these connections in time. The clients must not delay any host of the cluster.
"""

import json
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.cluster import keys
from engine.eventloop.netns import inside
from engine.swarm.server import admission
from engine.swarm.server.connections import GUEST_SECONDS, GUESTS, GUESTS_EACH
from engine.swarm.server.server import PENALTY_SECONDS
from tests.conftest import loaded

pytestmark = pytest.mark.netns
PLACE = ("192.168.99.11", 2377)


@pytest.fixture(scope="module")
def manager(cluster):
    return cluster.init()


@pytest.fixture(scope="module")
def guest(cluster, manager):
    """A host that belongs to no cluster. The tests connect to the manager from this host."""
    return cluster.add_host()


@pytest.fixture
def connect(guest):
    """Yield a function that opens plain TCP connections to the manager, from a host outside the cluster.

    The connections are closed after the test.
    """
    with ExitStack() as opened, open(guest.path) as there:

        def made(source=""):
            origin = (source, 0) if source else None
            action = lambda: socket.create_connection(PLACE, 5, origin)  # noqa: E731  # in the other namespace
            return opened.enter_context(inside(there.fileno(), action))

        yield made


def secured(plain):
    context = ssl._create_unverified_context()
    return context.wrap_socket(plain)


def ended(connection, since, patience=GUEST_SECONDS + 5):
    """Wait until the manager closes the connection; return the seconds from the time ``since`` to the close."""
    connection.settimeout(max(0.1, since + patience - time.monotonic()))
    try:
        while connection.recv(4096):
            continue
    except (ConnectionError, ssl.SSLError):
        pass
    return time.monotonic() - since


def test_a_slow_client_is_disconnected_as_early_as_a_silent_one(connect):
    """A client that sends one byte every half second is disconnected as early as a client that sends nothing.

    One deadline covers the whole connection: the TLS handshake, the request's header and the request's body.
    """
    began = time.monotonic()
    silent, handshake = connect(), connect()
    header, body = secured(connect()), secured(connect())
    body.sendall(b"POST /hawse/join HTTP/1.1\r\nContent-Length: 1000\r\nHawse-Layout: 2\r\n\r\n")
    slow = {handshake: b"\x16\x03\x01\x02\x00\x01\x00" + bytes(500), header: b"POST /" + b"x" * 500, body: b" " * 500}
    over = threading.Event()

    def drip(connection, data):
        for number in range(len(data)):
            try:
                connection.sendall(data[number : number + 1])
            except OSError:
                return
            if over.wait(0.5):
                return

    for connection, data in slow.items():
        threading.Thread(target=drip, args=(connection, data), daemon=True).start()
    spent = [ended(connection, began) for connection in (silent, *slow)]
    over.set()
    assert all(GUEST_SECONDS - 2 < seconds < GUEST_SECONDS + 3 for seconds in spent), spent


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 5000,
        b"POST /hawse/join HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"POST /hawse/join HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
        b"POST /hawse/join HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n",
        b"POST /hawse/join HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /hawse/join HTTP/1.1\r\nContent-Length: 4\r\nHawse-Layout: 2\r\n\r\n[1]]",
        b"POST /hawse/join HTTP/1.1\r\nContent-Length: 60000\r\nHawse-Layout: 2\r\n\r\n" + b"[" * 60000,
        b"POST /hawse/beat HTTP/1.1\r\nContent-Length: 2\r\nHawse-Layout: 2\r\n\r\n{}",
        b"POST /v3/kv/range HTTP/1.1\r\nContent-Length: 2\r\nHawse-Layout: 2\r\n\r\n{}",
    ],
    ids=["get", "zeros", "headers", "long", "large", "negative", "list", "deep", "act", "store"],
)
def test_an_invalid_request_of_a_guest_is_refused_at_once(connect, request_line):
    began = time.monotonic()
    secure = secured(connect())
    secure.sendall(request_line)
    assert secure.recv(4096).startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert ended(secure, began) < GUEST_SECONDS / 2


def test_another_version_of_hawse_gets_a_clear_error(connect):
    for layout in (b"", b"Hawse-Layout: 1\r\n", b"Hawse-Layout: 3\r\n"):
        secure = secured(connect())
        secure.sendall(b"POST /hawse/authority HTTP/1.1\r\nContent-Length: 2\r\n" + layout + b"\r\n{}")
        assert b"use the same version" in secure.recv(4096)


def test_hosts_can_join_while_too_many_guests_wait(cluster, manager, guest, connect):
    """More clients wait than the manager's server accepts, and two new hosts still join in time.

    One of the two hosts has the same address as some of the waiting clients.
    """
    for number in range(9):
        guest.sh(f"ip addr add 192.168.99.{200 + number}/24 dev ext0")
    waiting = [connect() for _ in range(GUESTS_EACH + 20)]
    waiting += [connect(f"192.168.99.{200 + number}") for number in range(9) for _ in range(GUESTS_EACH)]
    assert len(waiting) > GUESTS
    token, began = cluster.token(), time.monotonic()
    other = cluster.add_host()
    for host in (other, guest):
        host.hawse("swarm", "join", "--token", token, "192.168.99.11:2377")
    assert time.monotonic() - began < loaded(15)
    status = Path(f"/proc/{manager.pid_of('server')}/status").read_text()
    assert int(status.partition("Threads:")[2].split()[0]) < GUESTS + 50
    for host in (guest, other):
        host.hawse("swarm", "leave")


def test_a_bad_token_delays_only_the_client_that_sends_it(cluster, manager, connect):
    body = json.dumps({"secret": "x" * 25, "address": "192.168.99.12", "request": ""}).encode()
    head = f"POST /hawse/join HTTP/1.1\r\nContent-Length: {len(body)}\r\nHawse-Layout: {keys.LAYOUT}\r\n\r\n".encode()
    trying = [secured(connect()) for _ in range(20)]
    began = time.monotonic()
    for secure in trying:
        secure.sendall(head + body)
    manager.hawse("node", "ls")
    assert time.monotonic() - began < len(trying) * PENALTY_SECONDS / 2
    for secure in trying:
        assert admission.REFUSED in secure.recv(4096).decode()
        assert PENALTY_SECONDS < time.monotonic() - began < len(trying) * PENALTY_SECONDS / 2
