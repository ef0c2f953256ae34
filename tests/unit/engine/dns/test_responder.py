from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rcode
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.dns import wire
from engine.dns.responder import MOST_READY, Responder
from engine.dns.sandbox_view import LinkAlias, SandboxView
from engine.dns.table import NetworkTable
from engine.model import EndpointRecord
from engine.resolv_conf import Upstream


def endpoint(name: str, ipv4: str = "", ipv6: str = "", *aliases: str) -> EndpointRecord:
    return EndpointRecord(
        id=name, network_id="n", container_id="c", mac="", ipv4=ipv4, ipv6=ipv6, names=(name, *aliases), phase="live"
    )


def table(name: str, *endpoints: EndpointRecord) -> NetworkTable:
    made = NetworkTable(name, 5)
    made.update(endpoints)
    return made


TABLES = {
    "app": table("app", endpoint("web", "10.0.0.1/8"), endpoint("db", "10.0.0.2/8"), endpoint("a.back", "10.0.0.3/8")),
    "back": table("back", endpoint("web", "10.1.0.1/16", "fd00::1/64"), endpoint("a", "10.1.0.2/16")),
}
VIEW = SandboxView("s", "/p", networks=("app", "back"), upstreams=(Upstream("192.0.2.1"),))


def ask(view: SandboxView, name: str, kind: str = "A") -> list[str] | str:
    result = Responder(view, TABLES).respond(dns.message.make_query(name, kind).to_wire())
    if isinstance(result, wire.Query):
        return "forward"
    assert result is not None
    reply = dns.message.from_wire(result)
    return [str(i) for r in reply.answer for i in r] if not reply.rcode() else dns.rcode.to_text(reply.rcode())


def test_first_network_with_records_answers():
    assert ask(VIEW, "web") == ["10.0.0.1"]
    assert ask(VIEW, "web.back") == ["10.1.0.1"]
    assert ask(VIEW, "web", "AAAA") == ["fd00::1"]
    assert ask(VIEW, "db", "AAAA") == []


def test_a_name_with_a_dot_is_looked_up_as_a_whole_first():
    assert ask(VIEW, "a.back") == ["10.0.0.3"]


def test_networks_that_were_not_joined_are_unknown():
    alone = replace(VIEW, networks=("app",))
    assert ask(alone, "web.back") == "forward"
    assert ask(alone, "1.0.1.10.in-addr.arpa", "PTR") == "forward"


def test_mail_exchanger_of_a_known_name_is_empty_and_other_types_are_forwarded():
    assert ask(VIEW, "db", "MX") == []
    assert ask(VIEW, "nobody", "MX") == "forward"
    assert ask(VIEW, "db", "TXT") == "forward"


def test_without_servers_the_answer_is_servfail():
    assert ask(replace(VIEW, upstreams=()), "nobody") == "SERVFAIL"


def test_with_the_option_ndots_an_unknown_single_label_has_an_empty_answer():
    patient = replace(VIEW, ndots=True)
    assert ask(patient, "nobody") == []
    assert ask(patient, "nobody", "TXT") == "forward"
    assert ask(patient, "nobody.example") == "forward"


def test_a_link_resolves_to_its_target_and_hides_other_names():
    linked = replace(VIEW, links=(LinkAlias("store", "db", "app"), LinkAlias("web", "gone", "app")))
    assert ask(linked, "store") == ["10.0.0.2"]
    assert ask(linked, "STORE.app") == ["10.0.0.2"]
    assert ask(linked, "store", "AAAA") == []
    assert ask(linked, "web") == "forward"
    assert ask(linked, "web.back") == ["10.1.0.1"]


@given(st.binary(max_size=300))
def test_any_bytes_are_answered_or_ignored(message):
    result = Responder(VIEW, TABLES).respond(message)
    if isinstance(result, bytes):
        assert result[:2] == message[:2] and result[2] & 0x80


@given(st.data())
def test_a_damaged_query_raises_no_error(data):
    message = bytearray(dns.message.make_query("web.back", "AAAA", use_edns=0).to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(2, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    Responder(VIEW, TABLES).respond(bytes(message[:cut]))
    Responder(VIEW, TABLES).respond(bytes(message), stream=True)


def test_a_reply_is_cached_for_the_same_query_with_any_id():
    responder = Responder(VIEW, TABLES)
    for options in ({}, {"use_edns": 0}, {"flags": dns.flags.CD}):
        first, again = (dns.message.make_query("WEB", "A", id=number, **options).to_wire() for number in (1, 2))
        reply = responder.respond(first)
        assert responder.ready[again[2:]] == reply[2:] == responder.respond(again)[2:]


def test_a_reply_of_the_old_tables_does_not_enter_the_new_cache(monkeypatch):
    """The tables change in another thread, while a resolver's thread still answers a query."""
    responder = Responder(VIEW, TABLES)
    find = Responder.find

    def change_after(self, key: bytes):
        answer = find(self, key)
        responder.ready = {}
        return answer

    monkeypatch.setattr(Responder, "find", change_after)
    assert responder.respond(dns.message.make_query("web", "A").to_wire())
    assert not responder.ready


def test_shuffled_forwarded_refused_and_rare_replies_are_not_cached():
    shared = table("shared", endpoint("a", "10.0.0.1/8", "", "all"), endpoint("b", "10.0.0.2/8", "", "all"))
    responder = Responder(replace(VIEW, networks=("shared",), upstreams=()), {"shared": shared})
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    for query in (
        dns.message.make_query("all", "A"),
        dns.message.make_query("nobody", "A"),
        dns.message.make_query("a", "A", use_edns=0, options=[cookie]),
    ):
        assert responder.respond(query.to_wire())
    assert responder.respond(dns.message.make_query("a", "A").to_wire(), stream=True)
    assert not responder.ready


def test_the_reply_cache_is_limited():
    responder = Responder(VIEW, TABLES)
    for number in range(5 * MOST_READY):
        query = dns.message.make_query("web", "A", use_edns=0, payload=600 + number)
        assert responder.respond(query.to_wire())
        assert len(responder.ready) <= MOST_READY
