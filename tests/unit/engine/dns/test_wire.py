from __future__ import annotations

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.reversename
import dns.rrset
import dns.tsigkeyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dns import wire


def ask(name: str = "web", kind: str = "A", **options) -> wire.Query:
    return wire.parse_query(dns.message.make_query(name, kind, **options).to_wire())


@pytest.mark.parametrize("name", ["web", "Web.app", "a" * 63, "x.y.z", "under_score", "ünï"])
def test_names_are_encoded_as_dnspython_does(name):
    expected = b"".join(bytes([len(p.encode())]) + p.encode() for p in name.split(".")) + b"\0"
    assert wire.encode_name(name) == expected
    assert wire.encode_name(name + ".") == expected


@pytest.mark.parametrize("name", ["", ".", "a..b", "a" * 64, ".".join(["a" * 50] * 6), ".a"])
def test_names_that_dns_cannot_carry_have_no_encoding(name):
    assert wire.encode_name(name) is None


@pytest.mark.parametrize("address", ["172.30.0.2", "fd00:30::3"])
def test_a_reverse_name_equals_dnspythons(address):
    assert wire.reverse_name(ip_address(address)) == dns.reversename.from_address(address).to_wire()


def test_the_key_of_a_query_ignores_case_and_contains_the_type():
    assert ask("WEB.App").key == ask("web.app").key == wire.question(b"\3web\3app\0", wire.A)
    assert ask("web", "HTTPS").key not in {ask("web", k).key for k in ("A", "AAAA", "MX", "PTR")}


def test_the_limit_of_a_reply_depends_on_transport_and_edns():
    assert ask().limit == 512
    assert ask(use_edns=0, payload=1232).limit == 1232
    assert ask(use_edns=0, payload=100).limit == 512
    assert ask(use_edns=0, payload=65535).limit == 4096
    message = dns.message.make_query("web", "A").to_wire()
    assert wire.parse_query(message, stream=True).limit == 65535


def test_edns_is_found_behind_other_records():
    query = dns.message.make_query("web", "A", use_edns=0, payload=1400)
    record = dns.rrset.from_text("web.", 1, "IN", "A", "1.2.3.4")
    query.answer.append(record)
    query.authority.append(record)
    query.additional.append(record)
    parsed = wire.parse_query(query.to_wire())
    assert (parsed.limit, parsed.edns) == (1400, True)
    assert wire.parse_query(query.to_wire()[:-12]).limit == 512


def test_the_upstream_server_is_asked_for_at_most_1232_bytes():
    for payload, lowered in ((512, False), (1232, False), (1233, True), (65535, True)):
        query = ask(use_edns=0, payload=payload)
        sent = dns.message.from_wire(query.for_datagram())
        assert query.lowered == lowered
        assert sent.payload == min(payload, 1232)
        assert sent.question == dns.message.from_wire(query.message).question
    plain = ask()
    assert plain.for_datagram() is plain.message


def test_a_signed_query_is_forwarded_unchanged():
    keyring = dns.tsigkeyring.from_text({"key.": "c2VjcmV0"})
    query = dns.message.make_query("web", "A", use_edns=0, payload=4096)
    query.use_tsig(keyring)
    parsed = wire.parse_query(query.to_wire())
    assert parsed.limit == 4096 and parsed.for_datagram() == parsed.message


def answered(query: wire.Query, count: int) -> bytes:
    reply = dns.message.make_response(dns.message.from_wire(query.message), recursion_available=True)
    addresses = [f"10.0.{n // 250}.{n % 250}" for n in range(count)]
    reply.answer.append(dns.rrset.from_text("web.example.test.", 1, "IN", "A", *addresses))
    reply.authority.append(dns.rrset.from_text("example.test.", 1, "IN", "NS", "ns.example.test."))
    return reply.to_wire(max_size=65535)


@pytest.mark.parametrize("payload", [0, 512, 1000, 1232])
def test_upstream_reply_is_shortened_to_whole_answers_that_fit(payload):
    query = ask("web.example.test", **({"use_edns": 0, "payload": payload} if payload else {}))
    message = wire.shortened(query, answered(query, 200))
    reply = dns.message.from_wire(message)
    assert query.limit - 16 < len(message) <= query.limit
    assert reply.flags & dns.flags.TC and reply.flags & dns.flags.RA
    assert 10 < len(reply.answer[0]) < 200 and not reply.authority
    assert (reply.edns == 0) == bool(payload)


def test_a_name_without_a_dot_is_a_single_label():
    assert ask("web").single_label
    assert ask(".").single_label
    assert not ask("web.app").single_label


def test_reply_is_what_dnspython_reads_back():
    query = ask("Web", use_edns=0)
    reply = dns.message.from_wire(wire.reply(query, wire.NOERROR, [wire.record(wire.A, 7, bytes([1, 2, 3, 4]))]))
    assert reply.id == int.from_bytes(query.message[:2], "big")
    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA
    assert reply.answer[0].to_text() == "Web. 7 IN A 1.2.3.4"
    assert reply.edns == 0


@pytest.mark.parametrize(("payload", "fits"), [(0, 30), (1232, 75), (4096, 100)])
def test_reply_that_is_too_large_is_cut_at_a_record_and_marked(payload, fits):
    query = ask("web", **({"use_edns": 0, "payload": payload} if payload else {}))
    message = wire.reply(query, wire.NOERROR, [wire.record(wire.A, 5, bytes([10, 0, 0, i])) for i in range(100)])
    reply = dns.message.from_wire(message)
    assert len(message) <= max(payload, 512)
    assert len(reply.answer[0]) == fits
    assert bool(reply.flags & dns.flags.TC) == (fits < 100)


def test_responses_and_incomplete_headers_get_no_reply():
    reply = dns.message.make_response(dns.message.make_query("web", "A")).to_wire()
    for message in (reply, b"", b"\0" * 11):
        with pytest.raises(wire.MalformedMessage) as refused:
            wire.parse_query(message)
        assert refused.value.reply is None


@pytest.mark.parametrize(
    ("change", "rcode"),
    [
        (lambda m: m[:2] + b"\x28\0" + m[4:], dns.rcode.NOTIMP),  # the opcode is UPDATE, not QUERY
        (lambda m: m[:4] + b"\0\2" + m[6:], dns.rcode.FORMERR),  # the message has two questions
        (lambda m: m[:4] + b"\0\0" + m[6:], dns.rcode.FORMERR),
        (lambda m: m[:6] + b"\0\2" + m[8:], dns.rcode.FORMERR),  # the message has two answers
        (lambda m: m[:12] + b"\xc0\x0c" + m[-4:], dns.rcode.FORMERR),  # the name is a pointer to itself
        (lambda m: m[:-1], dns.rcode.FORMERR),
        (lambda m: m[:12] + b"\x7f" + m[13:], dns.rcode.FORMERR),
    ],
)
def test_malformed_queries_are_refused_by_a_reply_of_only_a_header(change, rcode):
    message = change(dns.message.make_query("web", "A").to_wire())
    with pytest.raises(wire.MalformedMessage) as refused:
        wire.parse_query(message)
    assert refused.value.reply is not None
    reply = dns.message.from_wire(refused.value.reply)
    assert reply.rcode() == rcode
    assert reply.id == int.from_bytes(message[:2], "big")


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_or_refused(message):
    try:
        query = wire.parse_query(message)
    except wire.MalformedMessage as malformed:
        assert malformed.reply is None or len(malformed.reply) == wire.HEADER
    else:
        assert len(wire.reply(query, wire.SERVFAIL, [])) <= query.limit
        assert len(query.for_datagram()) == len(query.message)


QUERY = dns.message.make_query("web.example.test", "A", use_edns=0, payload=900).to_wire()


@given(st.binary(max_size=3000), st.integers(0, 2000), st.integers(0, 255))
def test_any_reply_is_shortened_to_what_the_client_takes(junk, at, byte):
    query = wire.parse_query(QUERY)
    reply = bytearray(answered(query, 100))
    if at < len(reply):
        reply[at] = byte
    for message in (bytes(reply), bytes(reply[:at]) + junk, query.message[:2] + b"\x80\0" + b"\xff" * 8 + junk):
        if len(message) >= wire.HEADER:
            assert len(wire.shortened(query, message)) <= query.limit
