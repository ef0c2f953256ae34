"""The tests check the forms of the argument TARGET of ``hawse trace``."""

from ipaddress import ip_address

import pytest

from engine.diagnosis.trace.target import parse
from engine.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "place", "port", "protocol"),
    [
        ("web", "web", 0, "icmp"),
        ("web:80", "web", 80, "tcp"),
        ("web:53/udp", "web", 53, "udp"),
        ("web:53/UDP", "web", 53, "udp"),
        ("10.0.0.3", "10.0.0.3", 0, "icmp"),
        ("10.0.0.3:80", "10.0.0.3", 80, "tcp"),
        ("2001:db8::3", "2001:db8::3", 0, "icmp"),
        ("[2001:db8::3]", "2001:db8::3", 0, "icmp"),
        ("[2001:db8::3]:80/udp", "2001:db8::3", 80, "udp"),
        ("published:8080", "", 8080, "tcp"),
        ("published:8080/udp", "", 8080, "udp"),
        ("http://web/", "web", 80, "tcp"),
        ("https://web/a?b", "web", 443, "tcp"),
        ("http://user@web:8081/", "web", 8081, "tcp"),
        ("http://[fd00::3]/", "fd00::3", 80, "tcp"),
        ("redis://db", "db", 6379, "tcp"),
        ("netns:lab", "netns:lab", 0, "icmp"),
        ("netns:lab:80", "netns:lab", 80, "tcp"),
        ("netns:/run/netns/lab:53/udp", "netns:/run/netns/lab", 53, "udp"),
        ("pid:7:80", "pid:7", 80, "tcp"),
        ("0.0.0.0:80", "127.0.0.1", 80, "tcp"),
        ("http://[::]:80/", "::1", 80, "tcp"),
    ],
)
def test_valid_targets_are_parsed(text, place, port, protocol):
    target = parse(text)
    assert (target.port, target.protocol) == (port, protocol)
    assert target.published == (not place)
    if target.address is not None:
        assert target.address == ip_address(place)
    else:
        assert target.name == place


@pytest.mark.parametrize(
    "text",
    ["", ":80", "web:", "web:99999", "web:http", "web:80/sctp", "web:80/", "web/tcp", "[web]:80", "published:",
     "web:0", "netns:", "pid:x:80", "published:0", "published:80/icmp", "http://", "nosuch://web",
     "http://web:99999/", "a b:c:d", "224.0.0.1", "255.255.255.255:9/udp", "[ff02::1]:53/udp", "fe80::1",
     "fe80::1%eth0", "http://[fe80::1]/"],
)  # fmt: skip
def test_an_invalid_target_is_refused(text):
    with pytest.raises(InvalidArgument, match="invalid target"):
        parse(text)
