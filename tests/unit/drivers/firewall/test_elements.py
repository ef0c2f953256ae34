"""Networks and ports become elements of the firewall's sets."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from drivers.bridge_options import BridgeOptions
from drivers.firewall.elements import Element, of_link, of_network, of_ports, of_siblings
from drivers.model import EndpointSpec, NetworkSpec, Pool, PortBinding

POOLS = (
    Pool(ip_network("172.30.0.0/16"), ip_interface("172.30.0.1/16")),
    Pool(ip_network("fd00:30::/64"), ip_interface("fd00:30::1/64")),
)
NETWORK = NetworkSpec(id="a" * 64, name="n1", pools=POOLS, ipv6=True)
INTERNAL = NetworkSpec(id="a" * 64, name="n1", pools=POOLS, internal=True, ipv6=True)
ENDPOINT = EndpointSpec("e" * 64, "02:42:00:00:00:02", ip_interface("172.30.0.2/16"), ip_interface("fd00:30::2/64"))
ONLY4 = EndpointSpec("e" * 64, "02:42:00:00:00:02", ip_interface("172.30.0.2/16"))
OPTIONS = BridgeOptions(bridge="br0")


def binding(host_ip: str, host: tuple[int, int], inner: tuple[int, int], protocol: str = "tcp") -> PortBinding:
    return PortBinding(protocol, ip_address(host_ip), *host, *inner)


def ports(*bindings: PortBinding, options: BridgeOptions = OPTIONS, network=NETWORK, endpoint=ENDPOINT) -> set[Element]:
    return set(of_ports(network, options, endpoint, bindings))


def test_a_network_has_elements_for_its_bridge_its_subnets_and_masquerading():
    assert set(of_network(NETWORK, OPTIONS)) == {
        Element("bridges", '"br0"'),
        Element("same_bridge", '"br0" . "br0"', "accept"),
        Element("members4", '172.30.0.0 . "br0"'),
        Element("members4", '172.30.0.2-172.30.255.255 . "br0"'),
        Element("members6", 'fd00:30:: . "br0"'),
        Element("members6", 'fd00:30::2-fd00:30::ffff:ffff:ffff:ffff . "br0"'),
        Element("subnets4", "172.30.0.0/16 . ipv4"),
        Element("subnets6", "fd00:30::/64 . ipv6"),
        Element("masqueraded", '"br0" . ipv4'),
        Element("masqueraded", '"br0" . ipv6'),
        Element("gateways4", "172.30.0.1"),
        Element("gateways6", "fd00:30::1"),
    }


@pytest.mark.parametrize(
    ("gateway", "options", "members"),
    [
        ("172.30.0.0", OPTIONS, {"172.30.0.1-172.30.0.7"}),
        ("172.30.0.4", OPTIONS, {"172.30.0.0-172.30.0.3", "172.30.0.5-172.30.0.7"}),
        ("172.30.0.7", OPTIONS, {"172.30.0.0-172.30.0.6"}),
        (None, OPTIONS, {"172.30.0.0/29"}),
        ("172.30.0.1", BridgeOptions(bridge="br0", inhibit_ipv4=True), {"172.30.0.0/29"}),
        ("172.30.0.1", BridgeOptions(bridge="br0", mode4="isolated"), {"172.30.0.0/29"}),
    ],
)
def test_members_are_all_addresses_of_a_subnet_that_the_host_does_not_have(gateway, options, members):
    pool = Pool(ip_network("172.30.0.0/29"), ip_interface(f"{gateway}/29") if gateway else None)
    elements = of_network(NetworkSpec(id="a" * 64, name="n1", pools=(pool,)), options)
    assert {e.key for e in elements if e.set == "members4"} == {f'{addresses} . "br0"' for addresses in members}


@pytest.mark.parametrize(
    "options",
    [
        BridgeOptions(bridge="br0", masquerade=False),
        BridgeOptions(bridge="br0", inhibit_ipv4=True),
        BridgeOptions(bridge="br0", mode4="routed"),
    ],
)
def test_a_gateway_is_a_masqueraded_source_only_if_the_host_has_it_and_the_network_is_masqueraded(options):
    assert {e.set for e in of_network(NETWORK, options)}.isdisjoint({"gateways4"})


def test_an_internal_network_is_not_masqueraded():
    sets = {e.set for e in of_network(INTERNAL, OPTIONS)}
    assert sets == {"bridges", "internal", "same_bridge", "members4", "members6", "subnets4", "subnets6"}


def test_a_chosen_source_replaces_masquerading():
    entries = set(of_network(NETWORK, BridgeOptions(bridge="br0", source4=ip_address("192.0.2.1"))))
    assert Element("source4", '"br0"', "192.0.2.1") in entries
    assert Element("masqueraded", '"br0" . ipv4') not in entries


def test_a_single_port_is_a_hash_element_and_its_container_port_is_opened():
    assert ports(binding("0.0.0.0", (8080, 8080), (80, 80))) == {
        Element("any4", "tcp . 8080", "172.30.0.2 . 80"),
        Element("open4", "172.30.0.2 . tcp . 80"),
    }


def test_a_port_on_one_address_is_opened_to_trusted_interfaces_or_to_all_with_direct_routing():
    port, rewriting = binding("192.0.2.1", (8080, 8080), (80, 80), "sctp"), "192.0.2.1 . sctp . 8080"
    rewritten = Element("exact4", rewriting, "172.30.0.2 . 80")
    trusting = BridgeOptions(bridge="br0", trusted=("eth1",))
    opened = Element("open4", "172.30.0.2 . sctp . 80")
    assert ports(port) == {rewritten}
    assert ports(port, options=trusting) == {rewritten, Element("bound4", "172.30.0.2 . sctp . 80")}
    for options in (OPTIONS, trusting):
        assert set(of_ports(NETWORK, options, ENDPOINT, [port], direct=True)) == {rewritten, opened}
    several = binding("fd99::1", (8080, 8089), (80, 89))
    assert Element("bound6", "fd00:30::2 . tcp . 80-89") in ports(several, options=trusting)
    everywhere = binding("0.0.0.0", (8080, 8080), (80, 80))
    assert {e.set for e in ports(everywhere, options=trusting)} == {"any4", "open4"}


@pytest.mark.parametrize(("host_ip", "allowed"), [("0.0.0.0", "open_range4"), ("192.0.2.1", "bound4")])
def test_ranges_with_common_container_ports_have_one_element_that_opens_them(host_ip, allowed):
    several = [binding(host_ip, (8000, 8009), (80, 89)), binding(host_ip, (9000, 9009), (85, 94))]
    entries = ports(
        *several, binding(host_ip, (7000, 7009), (80, 89), "udp"), options=BridgeOptions("br0", trusted=("a",))
    )
    assert {e.key for e in entries if e.set == allowed} == {"172.30.0.2 . tcp . 80-94", "172.30.0.2 . udp . 80-89"}


def test_trust_is_between_an_interface_and_a_bridge():
    options = BridgeOptions(bridge="br0", trusted=("eth1", "eth2"))
    expected = {Element("trusted", f'"{interface}" . "br0"') for interface in ("eth1", "eth2")}
    assert {e for e in of_network(NETWORK, options) if e.set == "trusted"} == expected
    assert "trusted" not in {e.set for e in of_network(INTERNAL, options)}


def test_a_container_may_send_on_a_bridge_from_its_addresses_on_other_networks():
    addresses = [ip_address("172.31.0.2"), ip_address("fd00:31::2")]
    assert of_siblings(OPTIONS, addresses) == [
        Element("siblings4", '172.31.0.2 . "br0"'),
        Element("siblings6", 'fd00:31::2 . "br0"'),
    ]


def test_a_range_of_equal_ports_is_one_element_whatever_its_size():
    assert ports(binding("::", (1024, 65535), (1024, 65535), "udp")) == {
        Element("range6", "::/0 . udp . 1024-65535", "fd00:30::2"),
        Element("relayed", "::1 . udp . 1024-65535"),
        Element("relayed", "fe80::/10 . udp . 1024-65535"),
        Element("open_range6", "fd00:30::2 . udp . 1024-65535"),
    }


def test_a_shifted_range_is_one_element_a_port():
    entries = ports(binding("0.0.0.0", (8000, 8002), (80, 82)))
    assert {e for e in entries if e.set == "any4"} == {
        Element("any4", f"tcp . {8000 + n}", f"172.30.0.2 . {80 + n}") for n in range(3)
    }


@pytest.mark.parametrize("host_ip", ["127.0.0.1", "127.1.2.3"])
def test_a_port_on_loopback_opens_nothing_to_neighbours(host_ip):
    port, trusting = binding(host_ip, (8080, 8080), (80, 80)), BridgeOptions(bridge="br0", trusted=("eth1",))
    assert {e.set for e in ports(port)} == {"exact4"}
    for direct in (False, True):
        assert {e.set for e in of_ports(NETWORK, trusting, ENDPOINT, [port], direct=direct)} == {"exact4"}


@pytest.mark.parametrize(
    ("host_ip", "endpoint", "where"),
    [("::1", ENDPOINT, "::1"), ("::", ONLY4, "::/0"), ("fd99::11", ONLY4, "fd99::11"), ("::1", ONLY4, "::1")],
)
def test_packets_that_dnat_cannot_rewrite_are_led_to_the_agent(host_ip, endpoint, where):
    relayed = Element("relayed_any", "tcp . 8080") if where == "::/0" else Element("relayed", f"{where} . tcp . 8080")
    assert ports(binding(host_ip, (8080, 8080), (80, 80)), endpoint=endpoint) == {relayed}
    assert ports(binding(host_ip, (8080, 8089), (80, 89)), endpoint=endpoint) == {
        Element("relayed", f"{where} . tcp . 8080-8089")
    }
    assert ports(binding(host_ip, (8080, 8080), (80, 80), "sctp"), endpoint=endpoint) == set()
    assert ports(binding(host_ip, (8080, 8080), (80, 80)), endpoint=endpoint, network=INTERNAL) == set()


def test_the_agent_proxies_no_ports_of_networks_without_translation():
    port = binding("::", (8080, 8080), (80, 80))
    assert {e.set for e in ports(port, options=BridgeOptions("br0", mode6="routed"))} == {"open6"}
    assert ports(port, endpoint=ONLY4, options=BridgeOptions("br0", mode4="routed")) == set()


def test_the_gateway_mode_decides_between_dnat_and_opening():
    port = binding("0.0.0.0", (8080, 8080), (80, 80))
    assert {e.set for e in ports(port, options=BridgeOptions("br0", mode4="routed"))} == {"open4"}
    assert {e.set for e in ports(port, options=BridgeOptions("br0", mode4="nat-unprotected"))} == {"any4"}
    assert ports(port, network=INTERNAL) == set()


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("mode", ["nat", "routed"])
def test_a_port_on_a_loopback_address_is_never_opened_to_other_machines(mode, direct):
    port = binding("127.0.0.1", (8080, 8080), (80, 80))
    options = BridgeOptions("br0", mode4=mode, trusted=("ext0",))
    opened = {e.set for e in of_ports(NETWORK, options, ENDPOINT, [port], direct=direct)}
    assert opened == ({"exact4"} if mode == "nat" else set())


def test_a_link_opens_exposed_ports_in_the_families_both_have():
    exposed = ("tcp", 80, 80), ("udp", 5000, 15000)
    target = EndpointSpec("f" * 64, "", ip_interface("172.30.0.3/16"), None, exposed=exposed)
    assert set(of_link(ENDPOINT, target)) == {
        Element("linked4", "172.30.0.2 . 172.30.0.3 . tcp . 80"),
        Element("linked4", "172.30.0.2 . 172.30.0.3 . udp . 5000-15000"),
    }
