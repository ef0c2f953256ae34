"""Programs in real sandboxes resolve the names of containers."""

from __future__ import annotations

import socket
import subprocess
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import pytest

pytestmark = pytest.mark.netns


def test_names_aliases_ids_addresses_and_types(app):
    app.start()
    web, db = app.sandboxes
    assert db.resolve("web") == ["172.30.0.2"]
    assert db.resolve("WEB") == ["172.30.0.2"]
    assert db.resolve("www") == ["172.30.0.2"]
    assert db.resolve("web.app") == ["172.30.0.2"]
    assert db.resolve("web", "AAAA") == ["fd00:30::2"]
    assert db.resolve("web", "MX") == []
    assert web.resolve("shared") == ["172.30.0.2", "172.30.0.3"]
    assert web.resolve("2.0.30.172.in-addr.arpa", "PTR") == ["web.app."]
    assert web.resolve(ip_address("fd00:30::3").reverse_pointer, "PTR") == ["db.app."]
    assert app.log() == ""


def test_reply_keeps_the_case_of_the_question_and_is_recursive_but_not_authoritative(app):
    app.start()
    reply = app.sandboxes[0].ask("DB.App")
    assert reply.question[0].name.to_text() == "DB.App."
    assert reply.answer[0].name.to_text() == "DB.App."
    assert reply.answer[0].ttl == 5
    assert reply.flags & dns.flags.RA and not reply.flags & dns.flags.AA


def test_ttl_is_configurable(app):
    app.environment["HAWSE_DNS_TTL"] = "600"
    app.start()
    assert app.sandboxes[0].ask("db").answer[0].ttl == 600


def test_several_addresses_come_in_changing_order(app):
    app.start()
    firsts = {str(app.sandboxes[0].ask("shared").answer[0][0]) for _ in range(40)}
    assert firsts == {"172.30.0.2", "172.30.0.3"}


def test_edns_query_gets_an_opt_record(app):
    app.start()
    reply = app.sandboxes[0].exchange(dns.message.make_query("db", "A", use_edns=0, payload=1232))
    assert reply.edns == 0
    assert str(reply.answer[0][0]) == "172.30.0.3"


def test_names_follow_endpoints_at_once(app):
    app.start()
    web, _ = app.sandboxes
    cache = app.container("cache", {"app": ["172.30.0.4/24"]})
    app.notify()
    assert web.resolve("cache") == ["172.30.0.4"]
    assert cache.resolve("web") == ["172.30.0.2"]
    assert cache.resolve("4.0.30.172.in-addr.arpa", "PTR") == ["cache.app."]
    app.leave("cache", "app")
    app.notify()
    assert web.resolve("cache") == ["SERVFAIL"]


def test_each_network_knows_its_own_names(app):
    app.network("back", "172.31.0.1/24")
    app.container("both", {"app": ["172.30.0.5/24"], "back": ["172.31.0.5/24"]}, names=["both-alias"])
    hidden = app.container("hidden", {"back": ["172.31.0.6/24"]}, names=["web"])
    app.start()
    web, _, both, _ = app.sandboxes
    assert web.resolve("hidden") == ["SERVFAIL"]
    assert web.resolve("hidden.back") == ["SERVFAIL"]
    assert hidden.resolve("both") == ["172.31.0.5"]
    assert both.resolve("hidden.back") == ["172.31.0.6"]
    assert both.resolve("web") == ["172.30.0.2"]
    assert both.resolve("web.back") == ["172.31.0.6"]
    assert both.resolve("hidden", "AAAA") == []
    assert both.resolve("web", "AAAA") == ["fd00:30::2"]


def test_links_are_aliases_of_one_sandbox(app):
    linked = app.container("linked", {"app": ["172.30.0.7/24"]}, links=["db:store", "web"])
    app.start()
    assert linked.resolve("store") == ["172.30.0.3"]
    assert linked.resolve("store.app") == ["172.30.0.3"]
    assert linked.resolve("web") == ["172.30.0.2"]
    assert app.sandboxes[0].resolve("store") == ["SERVFAIL"]
    app.leave("db", "app")
    app.notify()
    assert linked.resolve("store") == ["SERVFAIL"]


def test_busybox_resolves_through_libc_and_by_nslookup(app, tmp_path):
    app.start()
    space = app.sandboxes[0].path.rpartition("/")[2]
    shown = subprocess.run(
        ["ip", "netns", "exec", space, "busybox", "nslookup", "-type=a", "db.", "127.0.0.11"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert "Address: 172.30.0.3" in shown.stdout


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_container_may_serve_port_53_itself_on_all_addresses(app, kind):
    app.start()
    web, db = app.sandboxes
    with web.socket(kind) as server:
        server.bind(("0.0.0.0", 53))
        if kind == socket.SOCK_STREAM:
            server.listen()
        app.kill_agent()
        app.start()
        with db.socket(kind) as client:
            client.connect(("172.30.0.2", 53))
            client.send(b"hello")
            assert (server.accept()[0] if kind == socket.SOCK_STREAM else server).recv(100) == b"hello"
        assert web.resolve("db") == ["172.30.0.3"]
        assert str(web.ask("db", tcp=True).answer[0][0]) == "172.30.0.3"


def test_a_sandbox_on_the_default_bridge_alone_is_not_served(app):
    app.network("bridge", "172.17.0.1/16")
    plain = app.container("plain", {"bridge": ["172.17.0.2/16"]})
    app.start()
    with plain.socket() as sock:
        sock.connect(("127.0.0.11", 53))
        sock.send(dns.message.make_query("web", "A").to_wire())
        with pytest.raises(ConnectionRefusedError):
            sock.recv(512)
