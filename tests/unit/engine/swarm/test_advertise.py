"""The tests check which address a host advertises to the other hosts of the cluster."""

from ipaddress import ip_address

import pytest

from drivers.linux import host
from engine.errors import InvalidArgument
from engine.swarm import advertise
from engine.swarm.enrollment import parse_manager


@pytest.fixture(autouse=True)
def interfaces(monkeypatch):
    addresses = [("eth0", ip_address(text)) for text in ("fd00::2", "192.0.2.2")]
    monkeypatch.setattr(host, "interface_addresses", lambda: addresses)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("192.0.2.9", ("192.0.2.9", 2377)),
        ("192.0.2.9:99", ("192.0.2.9", 99)),
        ("fd00::9", ("fd00::9", 2377)),
        ("[fd00::9]:99", ("fd00::9", 99)),
        ("eth0", ("192.0.2.2", 2377)),
        ("", ("192.0.2.2", 2377)),
    ],
)
def test_an_address_or_an_interface_is_advertised(text, meant):
    assert advertise.advertise_address(text) == meant


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "[::]:2377", "nosuch", "192.0.2.9:0", "eth0:x"])
def test_unreachable_addresses_are_refused(text):
    with pytest.raises(InvalidArgument, match=r"^advertise address must be a non-zero IP address"):
        advertise.advertise_address(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "nosuch", "192.0.2.9:99"])
def test_the_data_path_address_has_no_port(text):
    assert advertise.data_path("eth0") == "192.0.2.2"
    with pytest.raises(InvalidArgument, match=r"^data path address must be a non-zero IP address"):
        advertise.data_path(text)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "\udc80"], ids=ascii)
def test_a_manager_s_name_that_cannot_be_encoded_for_dns_does_not_exist(host):
    with pytest.raises(InvalidArgument) as raised:
        advertise.source_address_for(host, 2377)
    assert str(raised.value) == f"could not find local IP address: dial udp: lookup {host}: no such host"


def test_a_manager_s_ipv6_address_is_in_brackets():
    """The kernel connects to no link-local address without an interface."""
    with pytest.raises(InvalidArgument) as raised:
        advertise.source_address_for("fe80::1", 2377)
    assert str(raised.value) == "could not find local IP address: dial udp [fe80::1]:2377: connect: invalid argument"


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 2377),
        ("192.0.2.1:99", "192.0.2.1", 99),
        ("fd99::11", "fd99::11", 2377),
        ("[fd99::11]:99", "fd99::11", 99),
        ("[fd99::11]", "fd99::11", 2377),
    ],
)
def test_addresses_are_split_from_their_ports(text, address, port):
    assert advertise.split(text) == (address, port)
    manager = parse_manager(text)
    assert (manager.host, manager.port) == (address, port)


@pytest.mark.parametrize(
    "text", ["192.0.2.1:", "192.0.2.1:x", "192.0.2.1:70000", "192.0.2.1:0", "192.0.2.1:" + "9" * 5000]
)
def test_invalid_ports_are_refused(text):
    with pytest.raises(InvalidArgument):
        advertise.split(text)
