from __future__ import annotations

import pytest

from engine.dns.resolvconf import ResolvConf, is_loopback, parse, read_host, sets_ndots


def test_parse_takes_servers_and_options_and_nothing_else():
    text = """# comment
nameserver 192.0.2.1
 nameserver fe80::1%eth0  trailing
;nameserver 192.0.2.9
nameserver not-an-address
nameserver
search a b
options ndots:2 use-vc
options timeout:1
"""
    assert parse(text) == ResolvConf(("192.0.2.1", "fe80::1%eth0"), ("ndots:2", "use-vc", "timeout:1"))


def test_stub_of_systemd_resolved_stands_for_the_servers_behind_it(tmp_path):
    system, behind = tmp_path / "resolv.conf", tmp_path / "behind.conf"
    system.write_text("nameserver 127.0.0.53\n")
    assert read_host(system, behind).nameservers == ("127.0.0.53",)
    behind.write_text("nameserver 192.0.2.7\n")
    assert read_host(system, behind).nameservers == ("192.0.2.7",)
    system.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.1\n")
    assert read_host(system, behind).nameservers == ("127.0.0.53", "192.0.2.1")


def test_missing_file_is_an_empty_one(tmp_path):
    assert read_host(tmp_path / "none", tmp_path / "none") == ResolvConf()


@pytest.mark.parametrize(
    ("option", "expected"),
    [("ndots:0", True), ("ndots:15", True), ("ndots:-1", False), ("ndots:x", False), ("rotate", False)],
)
def test_ndots_counts_where_it_is_a_number(option, expected):
    assert sets_ndots([option]) is expected


def test_loopback():
    assert is_loopback("127.0.0.53") and is_loopback("::1")
    assert not is_loopback("192.0.2.1") and not is_loopback("fe80::1%eth0")
