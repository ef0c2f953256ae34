"""A manager's server limits the number of waiting clients, and the bytes that a node may request per second."""

import socket
import time

import pytest

from engine.cluster.model import WORKER, AdmittedHost
from engine.swarm.server import connections as limits
from engine.swarm.server import server as servers
from engine.swarm.server.connections import Visits, client_of
from engine.swarm.server.http import HttpRequest
from engine.swarm.server.rate_limit import BURST, LONGEST_WAIT_SECONDS, RATE, Budgets


@pytest.fixture
def visits():
    """Yield the open client connections of a manager's server, and a function that adds one from an address.

    The fixture closes all connections after the test.
    """
    made, pairs = Visits(), []

    def enter(address):
        pairs.append(socket.socketpair())
        return made.enter(pairs[-1][0], address)

    yield made, enter
    for pair in pairs:
        for each in pair:
            each.close()


def test_an_address_with_too_many_unknown_clients_loses_the_oldest(visits, monkeypatch):
    monkeypatch.setattr(limits, "GUESTS_EACH", 3)
    _, enter = visits
    other = enter("192.0.2.9")
    crowd = [enter("192.0.2.1") for _ in range(5)]
    assert [v.closed for v in crowd] == [True, True, False, False, False] and not other.closed


def test_with_too_many_unknown_clients_the_address_with_most_loses_its_oldest(visits, monkeypatch):
    monkeypatch.setattr(limits, "GUESTS", 4)
    _, enter = visits
    alone = enter("192.0.2.9")
    crowd = [enter("192.0.2.1") for _ in range(3)]
    enter("192.0.2.8")
    assert not alone.closed and [v.closed for v in crowd] == [True, False, False]


def test_a_known_host_is_not_disconnected_for_unknown_clients_and_has_its_own_limit(visits, monkeypatch):
    monkeypatch.setattr(limits, "GUESTS_EACH", 1)
    monkeypatch.setattr(limits, "CONNECTIONS_EACH", 2)
    made, enter = visits
    known = [enter("192.0.2.1")]
    assert made.know(known[0], "node")
    known.append(enter("192.0.2.1"))
    assert made.know(known[1], "node")
    guests = [enter("192.0.2.1") for _ in range(3)]
    assert not made.know(guests[-1], "node"), "it has as many as it may have"
    assert not any(v.closed for v in known) and [v.closed for v in guests] == [True, True, False]


def test_deadlines_and_certificates_end_connections(visits):
    made, enter = visits
    late, stale, good = (enter("192.0.2.1") for _ in range(3))
    late.until = time.monotonic() - 1
    assert made.know(stale, "node", expires=time.time() - 1) and made.know(good, "node", expires=time.time() + 60)
    made.start()
    deadline = time.monotonic() + 5
    while not (late.closed and stale.closed) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert late.closed and stale.closed and not good.closed


def test_ipv6_addresses_count_by_their_64_bit_prefix():
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1") != client_of("2001:db8:0:1::1")
    assert client_of("192.0.2.1") != client_of("192.0.2.2") and client_of("fe80::1%eth0") == client_of("fe80::2%eth0")


def test_a_node_without_budget_waits_and_is_then_refused_without_effect_on_others():
    budgets = Budgets()
    assert budgets.spend("a", BURST, 0.0) == 0
    assert budgets.spend("a", RATE, 0.0) == 1.0
    assert budgets.spend("a", int(RATE * LONGEST_WAIT_SECONDS), 0.0) is None
    assert budgets.spend("b", RATE, 0.0) == 0
    assert budgets.spend("a", RATE, 3.0) == 0
    assert budgets.spend("a", BURST, 1e9) == 0, "it never has more than this at once"
    assert budgets.spend("a", RATE, 1e9) == 1.0


@pytest.mark.parametrize(("act", "delayed"), [("publish", True), ("ask", True), ("release", False)])
def test_a_worker_sends_few_requests_that_make_other_hosts_work(tmp_path, monkeypatch, act, delayed):
    waits = []
    monkeypatch.setattr(servers.time, "sleep", waits.append)
    server = servers.ManagerServer(tmp_path)
    for _ in range(140):
        server._charge(AdmittedHost("n1", WORKER, 2), HttpRequest(f"/hawse/{act}", {}, "", 500))
    assert waits[:100] == [0.0] * 100
    assert (max(waits) > 1) == delayed
