"""Unknown names go upstream: which servers, from where, in what transport, and what comes of failures."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from engine.model import HostConfig

pytestmark = pytest.mark.netns

MANY = [f"10.9.{i // 250}.{i % 250 + 1}" for i in range(100)]


def test_unknown_names_are_answered_by_the_hosts_server_from_the_sandboxes_own_address(app, upstream):
    server = upstream()
    app.start()
    web = app.sandboxes[0]
    assert web.resolve("peer.example.test") == ["192.168.99.99"]
    assert web.resolve("nosuch.example.test") == ["NXDOMAIN"]
    assert web.resolve("99.0.30.172.in-addr.arpa", "PTR") == ["NXDOMAIN"]
    assert web.resolve("web", "TXT") == ["NXDOMAIN"]
    assert set(server.peers) == {"172.30.0.2"}
    assert ("web.", "A") not in server.asked


def test_large_reply_is_truncated_on_udp_and_whole_on_tcp_upstream_too(app, upstream):
    upstream(big__example__test=MANY)
    app.start()
    web = app.sandboxes[0]
    short = web.ask("big.example.test")
    assert short.flags & dns.flags.TC
    whole = web.ask("big.example.test", tcp=True)
    assert sorted(str(a) for a in whole.answer[0]) == sorted(MANY)


def test_several_queries_on_one_tcp_connection(app, upstream):
    upstream()
    app.start()
    with app.sandboxes[0].socket(socket.SOCK_STREAM) as sock:
        sock.connect(("127.0.0.11", 53))
        queries = [dns.message.make_query(n, "A") for n in ("db", "peer.example.test", "web")]
        for query in queries:
            wire = query.to_wire()
            sock.sendall(len(wire).to_bytes(2, "big")[:1])
            sock.sendall(len(wire).to_bytes(2, "big")[1:] + wire)
        with sock.makefile("rb") as stream:
            replies = [dns.message.from_wire(stream.read(int.from_bytes(stream.read(2), "big"))) for _ in queries]
    found = {r.id: str(r.answer[0][0]) for r in replies}
    assert [found[q.id] for q in queries] == ["172.30.0.3", "192.168.99.99", "172.30.0.2"]


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_next_server_is_asked_after_a_failure_and_servfail_is_the_end(world, upstream, rcode, peer):
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
    assert time.monotonic() - begin < 5
    asked = len(silent.asked)
    begin = time.monotonic()
    assert web.resolve("nosuch.example.test") == ["NXDOMAIN"]
    assert time.monotonic() - begin < 1
    assert len(silent.asked) == asked and good.asked


def test_unreachable_server_fails_at_once_and_holds_up_nobody(app):
    app.start()
    begin = time.monotonic()
    assert app.sandboxes[0].resolve("peer.example.test") == ["SERVFAIL"]
    reply = app.sandboxes[0].ask("peer.example.test", tcp=True)
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert time.monotonic() - begin < 3


def test_queries_at_once_to_an_unreachable_server_all_fail_at_once(app, peer):
    peer.sh("sysctl -qw net.ipv4.icmp_ratelimit=0")
    app.start()
    for _ in range(5):  # a resolver asks for both families of addresses in one go
        with app.sandboxes[0].socket() as sock:
            sock.connect(("127.0.0.11", 53))
            sock.settimeout(2)
            for kind in ("A", "AAAA"):
                sock.send(dns.message.make_query("peer.example.test", kind).to_wire())
            assert {dns.message.from_wire(sock.recv(512)).rcode() for _ in range(2)} == {dns.rcode.SERVFAIL}


def test_internal_sandboxes_are_not_forwarded(world, upstream):
    server = upstream()
    world.network("closed", "172.32.0.1/24", internal=True)
    sealed = world.container("sealed", {"closed": ["172.32.0.2/24"]})
    world.start()
    assert sealed.resolve("peer.example.test") == ["SERVFAIL"]
    assert sealed.resolve("sealed") == ["172.32.0.2"]
    assert server.asked == []


def test_loopback_server_is_the_hosts_own_or_the_sandboxes_own(world, upstream):
    world.network("app", "172.30.0.1/24")
    plain = world.container("plain", {"app": ["172.30.0.2/24"]})
    own = world.container("own", {"app": ["172.30.0.3/24"]}, host=HostConfig(dns=["127.0.0.1"]))
    (_etc(world) / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    upstream("127.0.0.1", world.host.path, where__test=["10.0.0.1"])
    upstream("127.0.0.1", own.path, where__test=["10.0.0.2"])
    world.start()
    assert plain.resolve("where.test") == ["10.0.0.1"]
    assert own.resolve("where.test") == ["10.0.0.2"]


def test_server_over_ipv6(app, upstream):
    app.host.peer.sh(f"ip -6 route add fd00:30::/64 via {app.host.address6}")
    upstream("fd99::99")
    app.change("web", host=HostConfig(dns=["fd99::99"]))
    app.start()
    assert app.sandboxes[0].resolve("peer.example.test") == ["192.168.99.99"]


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
    deadline = time.monotonic() + 5
    while web.resolve("where.test") != ["10.0.0.2"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_sandboxes_flood_leaves_the_others_their_answers(app, upstream):
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


def _etc(world):
    return Path("/etc/netns") / world.host.name
