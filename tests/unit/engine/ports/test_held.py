"""The tests check which published ports the agent holds."""

from __future__ import annotations

import pytest

from engine.model import EndpointRecord, NetworkRecord, PortRecord
from engine.ports.proxied import RANGE_LIMIT, HostPort, held_ports, publishing

MODE = "com.docker.network.bridge.gateway_mode_ipv"


def network(**options):
    return NetworkRecord("n", "n", "", "bridge", options={f"{MODE}{key[-1]}": mode for key, mode in options.items()})


def endpoint(*ports, phase="live", ipv6="fd00::2/64", network_id="n"):
    return EndpointRecord("e", network_id, "c", "", ipv4="172.18.0.2/16", ipv6=ipv6, ports=ports, phase=phase)


def port(protocol="tcp", address="0.0.0.0", first=8080, last=8080):
    return PortRecord(protocol, address, first, last, 80, 80 + last - first)


def held(of, at):
    return [port for pair in publishing([of], [at]) for port in held_ports(*pair)]


def test_each_port_of_each_address_is_held():
    ports = [port(), port(address="::"), port("udp", "127.0.0.1", 53, 54)]
    assert held(network(), endpoint(*ports)) == [
        HostPort("tcp", "0.0.0.0", 8080),
        HostPort("tcp", "::", 8080),
        HostPort("udp", "127.0.0.1", 53),
        HostPort("udp", "127.0.0.1", 54),
    ]


@pytest.mark.parametrize(
    ("of", "at"),
    [
        (network(), endpoint(port(), phase="reserved")),
        (network(), endpoint(port(), phase="leaving")),
        (network(), endpoint(port(), network_id="other")),
        (network(), endpoint(port("sctp"))),
        (network(), endpoint(port(last=8080 + RANGE_LIMIT))),
        (NetworkRecord("n", "n", "", "bridge", internal=True), endpoint(port())),
        (network(v4="routed"), endpoint(port())),
        (network(v6="isolated"), endpoint(port(address="::"))),
        (network(v4="routed"), endpoint(port(address="::"), ipv6="")),
    ],
)
def test_ports_not_published_on_the_host_are_not_held(of, at):
    assert held(of, at) == []


def test_a_gateway_mode_applies_only_to_its_ip_version():
    ports = endpoint(port(), port(address="::"))
    assert [p.address for p in held(network(v4="routed"), ports)] == ["::"]
    assert [p.address for p in held(network(v6="routed", v4="nat-unprotected"), ports)] == ["0.0.0.0"]
