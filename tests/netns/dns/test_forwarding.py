"""Forwarding of DNS queries for unknown names.

The tests check the servers, the namespace and the transport of the forwarded queries. They also cover failures.
"""

from __future__ import annotations

import os
import random
import socket
import time
from contextlib import suppress
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from engine.model import HostConfig
from tests.conftest import loaded, until
from tests.packets import socket_in

pytestmark = pytest.mark.netns

MANY = [f"10.9.{i // 250}.{i % 250 + 1}" for i in range(100)]


def test_unknown_names_are_answered_by_the_hosts_server_from_the_sandboxes_own_address(shared_app, shared_upstream):
    server = shared_upstream()
    web = shared_app.sandboxes[0]
    assert web.resolve("peer.example.test") == ["192.168.99.99"]
    assert web.resolve("nosuch.example.test") == ["NXDOMAIN"]
    assert web.resolve("99.0.30.172.in-addr.arpa", "PTR") == ["NXDOMAIN"]
    assert web.resolve("web", "TXT") == ["NXDOMAIN"]
    assert set(server.peers) == {"172.30.0.2"}
    assert ("web.", "A") not in server.asked


def test_large_reply_is_truncated_over_udp_and_complete_over_tcp(shared_app, shared_upstream):
    shared_upstream(big__example__test=MANY)
    web = shared_app.sandboxes[0]
    short = web.ask("big.example.test")
    assert short.flags & dns.flags.TC
    whole = web.ask("big.example.test", tcp=True)
    assert sorted(str(a) for a in whole.answer[0]) == sorted(MANY)


@pytest.mark.parametrize(("payload", "limit"), [(0, 512), (600, 600), (1232, 1232)])
def test_answer_is_no_larger_than_the_client_asked_whatever_the_server_sends(
    shared_app, shared_upstream, payload, limit
):
    server = shared_upstream(big__example__test=MANY)
    server.longest = 65535
    edns = {"use_edns": 0, "payload": payload} if payload else {}
    with shared_app.sandboxes[0].socket() as sock:
        sock.connect(("127.0.0.11", 53))
        query = dns.message.make_query("big.example.test", "A", **edns)
        sock.send(query.to_wire())
        data = sock.recv(65535)
    assert limit - 16 < len(data) <= limit
    reply = dns.message.from_wire(data)
    assert reply.flags & dns.flags.TC and query.is_response(reply)
    assert {str(address) for address in reply.answer[0]} < set(MANY)
    assert (reply.edns == 0) == bool(payload)


def test_a_reply_that_would_need_fragments_is_fetched_by_tcp(shared_app, shared_upstream):
    server = shared_upstream(big__example__test=MANY)
    server.longest = 1232
    with shared_app.sandboxes[0].socket() as sock:
        sock.connect(("127.0.0.11", 53))
        query = dns.message.make_query("big.example.test", "A", use_edns=0, payload=4096)
        sock.send(query.to_wire())
        reply = dns.message.from_wire(sock.recv(65535))
    assert [received.payload for received, _ in server.queries] == [1232, 4096]
    assert reply.id == query.id and not reply.flags & dns.flags.TC
    assert sorted(str(address) for address in reply.answer[0]) == sorted(MANY)


def test_truncated_answer_is_passed_on_if_the_server_has_no_tcp(shared_app, shared_upstream):
    server = shared_upstream(big__example__test=MANY)
    server.refuse_tcp()
    reply = shared_app.sandboxes[0].exchange(dns.message.make_query("big.example.test", "A", use_edns=0, payload=4096))
    assert reply.flags & dns.flags.TC and reply.rcode() == dns.rcode.NOERROR


def test_each_query_has_a_port_and_an_id_of_its_own(app, upstream):
    """Each forwarded query has its own source port, even while other queries wait for answers.

    A shared source port would stay open until the last of its queries has an answer.
    """
    server = upstream()
    server.silent = True
    app.start()
    number = 60
    with app.sandboxes[0].socket() as sock:
        sock.connect(("127.0.0.11", 53))
        for index in range(number):
            sock.send(dns.message.make_query(f"n{index}.example.test", "A", id=7).to_wire())
        until(lambda: len(server.queries) >= number)
    ports, ids = {port for _, port in server.queries}, {query.id for query, _ in server.queries}
    assert len(ports) == number
    assert len(ids) > number - 4, "drawn at random, so a number may come twice"


def test_forged_replies_are_ignored(shared_app, shared_upstream):
    """Forged replies arrive before the genuine reply, and the resolver ignores them.

    Each forged reply has a wrong id, question, server address or port.
    """
    shared_app.host.peer.sh("ip addr replace 192.168.99.98/24 dev br0")
    server = shared_upstream()
    place = shared_app.open(shared_app.host.peer.path)
    stranger, other_port = (socket_in(place, socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    stranger.bind(("192.168.99.98", 53))
    other_port.bind(("192.168.99.99", 5353))

    def forge(data: bytes, client: tuple) -> None:
        def lie(name: str, number: int) -> bytes:
            question = dns.message.make_query(name, "A", id=number)
            reply = dns.message.make_response(question, recursion_available=True)
            reply.answer.append(dns.rrset.from_text(name + ".", 60, "IN", "A", "6.6.6.6"))
            return reply.to_wire()

        number = int.from_bytes(data[:2], "big")
        server.udp.sendto(lie("peer.example.test", number ^ 1), client)
        server.udp.sendto(lie("other.example.test", number), client)
        server.udp.sendto(data, client)  # sends the query itself back, which is not a valid reply
        for sock in (stranger, other_port):
            sock.sendto(lie("peer.example.test", number), client)

    server.before = forge
    for _ in range(5):
        assert shared_app.sandboxes[0].resolve("peer.example.test") == ["192.168.99.99"]
    stranger.close()
    other_port.close()


def test_several_queries_on_one_tcp_connection(shared_app, shared_upstream):
    shared_upstream()
    with shared_app.sandboxes[0].socket(socket.SOCK_STREAM) as sock:
        sock.connect(("127.0.0.11", 53))
        queries = [dns.message.make_query(n, "A") for n in ("db", "peer.example.test", "web")]
        for query in queries:
            wire = query.to_wire()
            sock.sendall(len(wire).to_bytes(2, "big")[:1])
            sock.sendall(len(wire).to_bytes(2, "big")[1:] + wire)
        with sock.makefile("rb") as stream:
            replies = [dns.message.from_wire(stream.read(int.from_bytes(stream.read(2), "big"))) for _ in queries]
    by_id = {r.id: str(r.answer[0][0]) for r in replies}
    assert [by_id[q.id] for q in queries] == ["172.30.0.3", "192.168.99.99", "172.30.0.2"]


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_next_server_is_asked_after_a_failure_and_servfail_follows_if_all_fail(world, upstream, rcode, peer):
    peer.sh("ip addr add 192.168.99.98/24 dev br0")
    first, second = upstream("192.168.99.99"), upstream("192.168.99.98")
    first.rcode = rcode
    world.network("app", "172.30.0.1/24")
    dns_servers = HostConfig(dns=["192.168.99.99", "192.168.99.98"])
    web = world.container("web", {"app": ["172.30.0.2/24"]}, host=dns_servers)
    world.start()
    assert web.resolve("peer.example.test") == ["192.168.99.99"]
    assert first.asked and second.asked
    second.rcode = rcode
    assert web.resolve("peer.example.test") == ["SERVFAIL"]


def test_silent_server_is_followed_by_the_next_and_then_asked_last(world, upstream, peer):
    peer.sh("ip addr add 192.168.99.98/24 dev br0")
    silent, good = upstream("192.168.99.99"), upstream("192.168.99.98")
    silent.silent = True
    world.network("app", "172.30.0.1/24")
    web = world.container("web", {"app": ["172.30.0.2/24"]}, host=HostConfig(dns=["192.168.99.99", "192.168.99.98"]))
    world.start()
    begin = time.monotonic()
    assert web.resolve("peer.example.test") == ["192.168.99.99"]
    assert time.monotonic() - begin < loaded(5)
    count = len(silent.asked)
    begin = time.monotonic()
    assert web.resolve("nosuch.example.test") == ["NXDOMAIN"]
    assert time.monotonic() - begin < loaded(1)
    assert len(silent.asked) == count and good.asked


def test_unreachable_server_fails_at_once_and_delays_no_other_query(app):
    app.start()
    begin = time.monotonic()
    assert app.sandboxes[0].resolve("peer.example.test") == ["SERVFAIL"]
    reply = app.sandboxes[0].ask("peer.example.test", tcp=True)
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert time.monotonic() - begin < loaded(3)


def test_queries_at_once_to_an_unreachable_server_all_fail_at_once(app, peer):
    peer.sh("sysctl -qw net.ipv4.icmp_ratelimit=0")
    app.start()
    for _ in range(5):  # a client sends its A query and its AAAA query together
        with app.sandboxes[0].socket() as sock:
            sock.connect(("127.0.0.11", 53))
            sock.settimeout(2)
            for kind in ("A", "AAAA"):
                sock.send(dns.message.make_query("peer.example.test", kind).to_wire())
            assert {dns.message.from_wire(sock.recv(512)).rcode() for _ in range(2)} == {dns.rcode.SERVFAIL}


def test_queries_of_internal_sandboxes_are_not_forwarded(world, upstream):
    server = upstream()
    world.network("closed", "172.32.0.1/24", internal=True)
    sealed = world.container("sealed", {"closed": ["172.32.0.2/24"]})
    world.start()
    assert sealed.resolve("peer.example.test") == ["SERVFAIL"]
    assert sealed.resolve("sealed") == ["172.32.0.2"]
    assert server.asked == []


def test_an_internal_sandbox_asks_a_server_on_its_own_network(world, upstream):
    world.network("closed", "172.32.0.1/24", internal=True)
    server = world.container("server", {"closed": ["172.32.0.53/24"]})
    sealed = world.container("sealed", {"closed": ["172.32.0.2/24"]}, host=HostConfig(dns=["172.32.0.53"]))
    upstream("172.32.0.53", server.path, where__test=["10.0.0.1"])
    world.start()
    assert sealed.resolve("where.test") == ["10.0.0.1"]


def test_loopback_server_is_asked_in_the_namespace_for_which_it_was_configured(world, upstream):
    world.network("app", "172.30.0.1/24")
    plain = world.container("plain", {"app": ["172.30.0.2/24"]})
    container = world.container("own", {"app": ["172.30.0.3/24"]}, host=HostConfig(dns=["127.0.0.1"]))
    (_etc(world) / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    upstream("127.0.0.1", world.host.path, where__test=["10.0.0.1"])
    upstream("127.0.0.1", container.path, where__test=["10.0.0.2"])
    world.start()
    assert plain.resolve("where.test") == ["10.0.0.1"]
    assert container.resolve("where.test") == ["10.0.0.2"]


def test_queries_are_forwarded_to_a_server_over_ipv6(app, upstream):
    app.host.peer.sh(f"ip -6 route add fd00:30::/64 via {app.host.address6}")
    upstream("fd99::99")
    app.change("web", host=HostConfig(dns=["fd99::99"]))
    app.start()
    assert app.sandboxes[0].resolve("peer.example.test") == ["192.168.99.99"]


def test_a_sandbox_with_ipv6_only_gets_answers_of_a_server_over_ipv4(world, upstream):
    server = upstream()
    world.network("six", "172.30.0.1/24", "fd00:30::1/64")
    web = world.container("web", {"six": ["fd00:30::2/64"]})
    world.start()
    assert web.resolve("peer.example.test") == ["192.168.99.99"]
    assert set(server.peers) == {world.host.address}


def test_ndots_of_the_user_keeps_single_labels_from_upstream(world, upstream):
    server = upstream()
    world.network("app", "172.30.0.1/24")
    web = world.container("web", {"app": ["172.30.0.2/24"]}, host=HostConfig(dns_options=["ndots:3"]))
    world.start()
    assert web.resolve("single") == []
    assert web.resolve("web") == ["172.30.0.2"]
    assert web.resolve("peer.example.test") == ["192.168.99.99"]
    assert server.asked == [("peer.example.test.", "A")]


def test_servers_follow_the_hosts_resolv_conf(app, upstream, peer):
    peer.sh("ip addr add 192.168.99.98/24 dev br0")
    upstream("192.168.99.99", where__test=["10.0.0.1"])
    upstream("192.168.99.98", where__test=["10.0.0.2"])
    app.start()
    web = app.sandboxes[0]
    assert web.resolve("where.test") == ["10.0.0.1"]
    (_etc(app) / "resolv.conf").write_text("nameserver 192.168.99.98\n")
    until(lambda: web.resolve("where.test") == ["10.0.0.2"], 5)


def test_flood_of_one_sandbox_does_not_stop_answers_for_others(app, upstream):
    server = upstream()
    server.silent = True
    app.start()
    web, db = app.sandboxes
    with web.socket() as flood:
        flood.setblocking(False)
        flood.connect(("127.0.0.11", 53))
        known, unknown = (dns.message.make_query(n, "A").to_wire() for n in ("db", "slow.example.test"))
        slowest, end = 0.0, time.monotonic() + 1.5
        while time.monotonic() < end:
            for number in range(200):
                wire = unknown if number % 2 else known
                try:
                    flood.send(number.to_bytes(2, "big") + wire[2:])
                except BlockingIOError:
                    break
            begin = time.monotonic()
            assert db.resolve("web") == ["172.30.0.2"]
            slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 0.5
    assert app.log() == ""


def test_too_many_outstanding_queries_are_refused(app, upstream):
    upstream().silent = True
    app.start()
    with app.sandboxes[0].socket() as sock:
        sock.connect(("127.0.0.11", 53))
        for number in range(1100):
            sock.send(dns.message.make_query(f"n{number}.example.test", "A").to_wire())
            if number % 20 == 0:
                time.sleep(0.002)
        refused = dns.message.from_wire(sock.recv(512)).rcode() == dns.rcode.REFUSED
    assert refused
    assert app.sandboxes[0].resolve("db") == ["172.30.0.3"]


def test_sandbox_with_many_outstanding_queries_leaves_places_for_another(app, upstream):
    """One sandbox with many unanswered queries does not prevent another sandbox from sending queries.

    All sandboxes share the agent's file descriptors. If the agent may open 1,024 descriptors, it forwards at most 64
    queries at the same time.
    """
    server = upstream()
    server.silent = True
    app.limit = 1024
    app.start()
    web, db = app.sandboxes
    with web.socket() as flood:
        flood.connect(("127.0.0.11", 53))
        for number in range(300):
            flood.send(dns.message.make_query(f"n{number}.example.test", "A").to_wire())
        assert dns.message.from_wire(flood.recv(512)).rcode() == dns.rcode.REFUSED
        assert len(server.queries) <= 40
        server.silent = False
        assert db.resolve("peer.example.test") == ["192.168.99.99"]
    assert app.log() == ""


def test_slow_tcp_clients_of_one_sandbox_do_not_stop_answers_for_others(app, upstream):
    upstream()
    app.limit = 1024
    app.start()
    web, db = app.sandboxes
    slow = [web.socket(socket.SOCK_STREAM) for _ in range(100)]
    for sock in slow:
        sock.connect(("127.0.0.11", 53))
        sock.send(b"\0")
    for name, answer in (("web", ["172.30.0.2"]), ("peer.example.test", ["192.168.99.99"])):
        reply = db.ask(name, tcp=True, timeout=3)
        assert [str(item) for item in reply.answer[0]] == answer
    assert web.resolve("db") == ["172.30.0.3"]
    for sock in slow:
        sock.close()


def test_garbage_and_huge_packets_stop_nothing(shared_app, shared_upstream):
    server = shared_upstream()
    server.before = lambda data, peer: [server.udp.sendto(junk, peer) for junk in (b"", data[:5], os.urandom(600))]
    web, noise = shared_app.sandboxes[0], random.Random(1)
    query = dns.message.make_query("db", "A").to_wire()
    with web.socket() as sock:
        sock.connect(("127.0.0.11", 53))
        for number in range(500):
            junk = bytearray(query + noise.randbytes(30))
            junk[noise.randrange(2, len(junk))] = noise.randrange(256)
            sock.send(bytes(junk[: noise.randrange(len(junk))]) if number % 2 else bytes(junk))
        sock.send(query[:4] + b"\0\1\0\0\0\0\0\0" + b"\xc0\x0c\0\1\0\1")  # the name is a compression pointer to itself
        sock.send(query + bytes(60000))
        sock.send(query[:12] + b"\x3fa" * 30000)
    for _ in range(20):
        with web.socket(socket.SOCK_STREAM) as stream:
            stream.connect(("127.0.0.11", 53))
            stream.send(noise.randbytes(200))
    # Ask repeatedly, because the resolver loses a query when its receive buffer is full for a moment.
    until(lambda: answers(web, "db") == ["172.30.0.3"])
    until(lambda: answers(web, "peer.example.test") == ["192.168.99.99"])
    assert shared_app.log() == ""


def _self_pointer(number: int) -> bytes:
    """Return a record whose name is a compression pointer to the name's own offset (at most 0x3FFF)."""
    offset = min(12 + len("hostile.example.test") + 6 + 16 * number, 0x3FFF)
    return (0xC000 | offset).to_bytes(2, "big") + b"\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3"


LOOP = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"  # a CNAME record of the name in the question that names itself
HOSTILE = {
    "a CNAME loop": (4000, LOOP * 4000),
    "names that are pointers to themselves": (4000, b"".join(_self_pointer(i) for i in range(4000))),
    "names that expand to 255 bytes by pointers": (4000, (b"\x3f" + b"a" * 63) * 3 + b"\0" + LOOP * 4000),
    "fewer records than the header says": (65535, LOOP),
    "a record that is longer than the message": (1, LOOP[:10] + b"\xff\xff\xc0\x0c"),
    "a name without an end": (9, b"\x3f" * 50000),
}
"""Number of answers in the header, and the bytes after the question."""


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_cut_unread_and_stops_nothing(shared_app, shared_upstream, hostile):
    count, records = hostile
    server = shared_upstream()

    def lie(data: bytes, peer: tuple) -> None:
        if b"hostile" in data:
            end = data.index(b"\0", 12) + 5
            head = data[:2] + b"\x81\x80\0\1" + count.to_bytes(2, "big") + bytes(4)
            server.udp.sendto(head + data[12:end] + records, peer)

    server.before = lie
    web, other = shared_app.sandboxes[:2]
    query = dns.message.make_query("hostile.example.test", "A").to_wire()
    began = time.monotonic()
    with web.socket() as sock:
        sock.connect(("127.0.0.11", 53))
        for _ in range(20):
            sock.send(query)
            reply = sock.recv(65535)
            assert reply[:2] == query[:2] and len(reply) <= 512
    assert time.monotonic() - began < loaded(5)
    assert other.resolve("peer.example.test") == ["192.168.99.99"]
    assert shared_app.log() == ""


def answers(sandbox, name: str) -> list[str]:
    """Return the answers for a name, or an empty list if no reply comes within a second."""
    with suppress(TimeoutError):
        return [str(item) for rrset in sandbox.ask(name, timeout=1).answer for item in rrset]
    return []


def _etc(world):
    return Path("/etc/netns") / world.host.name
