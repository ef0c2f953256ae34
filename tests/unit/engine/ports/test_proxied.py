from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from engine.model import EndpointRecord, NetworkRecord, PortRecord
from engine.ports.proxied import Forwards, Origin, forwards_of, publishing

NETWORK = NetworkRecord(id="n", name="n", created="", driver="bridge")


def forwarded(host_ip: str, ipv6: str = "", protocol: str = "tcp", count: int = 1) -> list[tuple]:
    ports = PortRecord(protocol, host_ip, 8080, 8080 + count - 1, 80, 80 + count - 1)
    endpoint = EndpointRecord(
        id="e", network_id="n", container_id="c", mac="", ipv4="172.18.0.2/16", ipv6=ipv6, ports=[ports], phase="live"
    )
    return [((f.protocol, str(f.prefix), f.first), f.target_of(f.first)) for f in forwards_of(endpoint, NETWORK)]


def forwarding(*ports: PortRecord, ipv6: str = "") -> Forwards:
    endpoint = EndpointRecord(
        id="e", network_id="n", container_id="c", mac="", ipv4="172.18.0.2/16", ipv6=ipv6, ports=ports, phase="live"
    )
    return Forwards(forwards_of(endpoint, NETWORK))


def origin(address: str, port: int, protocol: str = "tcp") -> Origin:
    return Origin(protocol, IPv6Address(address), port)


@pytest.mark.parametrize(
    ("address", "prefix"), [("::", "::/0"), ("::1", "::1/128"), ("2001:db8::1", "2001:db8::1/128")]
)
def test_ipv6_addresses_of_an_ipv4_only_endpoint_are_proxied(address, prefix):
    assert forwarded(address) == [(("tcp", prefix, 8080), ("172.18.0.2", 80))]


@pytest.mark.parametrize(("address", "prefixes"), [("::", ["::1/128", "fe80::/10"]), ("::1", ["::1/128"])])
def test_unroutable_addresses_of_an_ipv6_endpoint_are_proxied(address, prefixes):
    assert forwarded(address, "fd00::2/64") == [(("tcp", prefix, 8080), ("fd00::2", 80)) for prefix in prefixes]


@pytest.mark.parametrize("address", ["::1", "fe80::1", "febf::1"])
def test_the_wildcard_is_proxied_only_for_link_local_and_loopback_clients(address):
    held = forwarding(PortRecord("tcp", "::", 8080, 8080, 80, 80), ipv6="fd00::2/64")
    assert held.target(origin(address, 8080)) == ("fd00::2", 80)
    assert held.target(origin("fd99::1", 8080)) is None


@pytest.mark.parametrize(("address", "ipv6"), [("0.0.0.0", ""), ("127.0.0.1", ""), ("2001:db8::1", "fd00::2/64")])
def test_translated_ports_are_not_proxied(address, ipv6):
    assert forwarded(address, ipv6) == []


def test_a_range_is_one_entry_that_maps_its_ports_in_order():
    assert len(forwarded("::", count=10_001)) == 1
    held = forwarding(PortRecord("tcp", "::", 8080, 8090, 80, 90), PortRecord("tcp", "::", 9000, 9000, 70, 70))
    assert [held.target(origin("fd00::1", port)) for port in (8079, 8080, 8090, 8091, 9000)] == [
        None,
        ("172.18.0.2", 80),
        ("172.18.0.2", 90),
        None,
        ("172.18.0.2", 70),
    ]


def test_address_and_protocol_select_the_target():
    held = forwarding(PortRecord("tcp", "::1", 80, 80, 1, 1), PortRecord("tcp", "fd00::1", 80, 80, 2, 2))
    assert held.target(origin("::1", 80)) == ("172.18.0.2", 1)
    assert held.target(origin("fd00::1", 80)) == ("172.18.0.2", 2)
    assert held.target(origin("fd00::2", 80)) is held.target(origin("::1", 80, "udp")) is None


def test_sctp_is_not_forwarded():
    assert forwarded("::", protocol="sctp") == []


@pytest.mark.parametrize(("mode", "expected"), [("nat", 1), ("nat-unprotected", 1), ("routed", 0), ("isolated", 0)])
def test_networks_without_translation_have_nothing_to_forward(mode, expected):
    options = {"com.docker.network.bridge.gateway_mode_ipv6": mode}
    network = NetworkRecord(id="n", name="n", created="", driver="bridge", options=options)
    ports = [PortRecord("tcp", "::1", 8080, 8080, 80, 80)]
    for ipv6 in ("", "fd00::2/64"):
        endpoint = EndpointRecord(
            id="e", network_id="n", container_id="c", mac="", ipv4="172.18.0.2/16", ipv6=ipv6, ports=ports, phase="live"
        )
        assert len(list(forwards_of(endpoint, network))) == expected


def test_only_live_endpoints_of_external_networks_are_proxied():
    ports = [PortRecord("tcp", "::", 8080, 8080, 80, 80)]

    def of(internal: bool, phase: str) -> list[tuple]:
        network = NetworkRecord(id="n", name="n", created="", driver="bridge", internal=internal)
        endpoint = EndpointRecord(
            id="e", network_id="n", container_id="c", mac="", ipv4="172.18.0.2/16", ports=ports, phase=phase
        )
        return list(publishing([network], [endpoint]))

    assert of(False, "live")
    assert of(True, "live") == of(False, "reserved") == []
