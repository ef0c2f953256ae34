"""Options of macvlan and ipvlan networks, and the netlink message that creates an ipvlan endpoint."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_interface, ip_network
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from drivers.errors import UnusableOption
from drivers.ipvlan import IpvlanDriver
from drivers.linux import link, rtnetlink
from drivers.macvlan import MacvlanDriver
from drivers.model import EndpointSpec, NetworkSpec, Pool, Sandbox
from drivers.subinterface import SubinterfaceBase, split_vlan


def network(**options: str) -> NetworkSpec:
    pool = Pool(ip_network("172.30.0.0/16"), ip_interface("172.30.0.1/16"))
    return NetworkSpec(id="0123456789abcdef" * 4, name="n1", options=options, pools=(pool,))


def endpoint_at(address: str) -> EndpointSpec:
    return EndpointSpec("e", "02:42:00:00:00:01", ipv4=IPv4Interface(address))


def test_without_a_parent_the_network_gets_a_dummy_of_its_own():
    macvlan, ipvlan = MacvlanDriver(), IpvlanDriver()
    assert macvlan.parent_name(network()) == macvlan.parent_name(network(parent="")) == "dm-0123456789ab"
    assert ipvlan.parent_name(network()) == "di-0123456789ab"
    assert macvlan.parent_name(network(parent="eth0")) == "eth0"


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        (
            MacvlanDriver(),
            {"macvlan_mode": "foo"},
            "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default",
        ),
        (
            IpvlanDriver(),
            {"ipvlan_mode": "foo"},
            "requested ipvlan mode 'foo' is not valid, 'l2' mode is the ipvlan driver default",
        ),
        (
            IpvlanDriver(),
            {"ipvlan_flag": "foo"},
            "requested ipvlan flag 'foo' is not valid, 'bridge' is the ipvlan driver default",
        ),
    ],
)
def test_wrong_modes_are_refused_in_dockers_words(driver, options, message):
    with pytest.raises(UnusableOption) as caught:
        driver.check_network(network(**options), [])
    assert str(caught.value) == message


@pytest.mark.parametrize(("parent", "vlan"), [("lo.10", 10), ("lo.010", 10), ("lo.+10", 10)])
def test_a_vlan_id_is_read_as_docker_26_1_reads_it(parent, vlan):
    assert split_vlan(parent) == ("lo", vlan)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\N{ARABIC-INDIC DIGIT ONE}", "unable to parse a valid vlan id from: {} (ex. eth0.10 for vlan 10)"),
        ("+-1", "unable to parse a valid vlan id from: {} (ex. eth0.10 for vlan 10)"),
        ("-" + "9" * 20, "unable to parse a valid vlan id from: {} (ex. eth0.10 for vlan 10)"),
        ("-10", "vlan id must be between 1-4094, received: {}"),
    ],
)
def test_a_wrong_vlan_id_is_refused_in_the_words_of_docker_26_1(text, message):
    with pytest.raises(UnusableOption) as caught:
        split_vlan(f"lo.{text}")
    assert str(caught.value) == message.format(text)


def test_an_ipvlan_endpoint_carries_mode_and_flag_but_no_mac_in_its_netlink_message(monkeypatch):
    bodies: list[bytes] = []
    session, add = SimpleNamespace(request=lambda _kind, body, _flags: bodies.append(body)), link.add
    monkeypatch.setattr(link, "index", lambda _: 7)
    monkeypatch.setattr(link, "add", lambda _, *arguments, **attributes: add(session, *arguments, **attributes))
    endpoint, sandbox = EndpointSpec("e" * 64, "02:42:00:00:00:02"), Sandbox("s", "/proc/self/ns/net")
    IpvlanDriver()._make_endpoint(network(ipvlan_mode="l3s", ipvlan_flag="vepa"), endpoint, sandbox)
    message = rtnetlink.decode(ifinfmsg, bodies[0])
    data = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    assert (data.get_attr("IFLA_IPVLAN_MODE"), data.get_attr("IFLA_IPVLAN_FLAGS")) == (2, 2)
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "ipvlan"
    assert (message.get_attr("IFLA_LINK"), message.get_attr("IFLA_ADDRESS")) == (7, None)


def test_ipvlan_offers_a_next_hop_only_in_mode_l2():
    driver, endpoint = IpvlanDriver(), endpoint_at("172.30.0.2/16")
    assert str(driver.gateways(network(), endpoint)[0]) == "172.30.0.1"
    assert driver.gateways(network(ipvlan_mode="l3"), endpoint) == (None, None)


def test_the_next_hop_is_that_of_the_endpoints_own_subnet():
    pools = [Pool(ip_network(f"172.{n}.0.0/16"), ip_interface(f"172.{n}.0.1/16")) for n in (30, 31)]
    several = replace(network(), pools=tuple(pools))
    for driver in (MacvlanDriver(), IpvlanDriver()):
        hops = [driver.gateways(several, endpoint_at(f"172.{n}.0.2/16")) for n in (31, 30)]
        assert [str(hop) for hop, _ in hops] == ["172.31.0.1", "172.30.0.1"]


@pytest.mark.parametrize(
    ("mode", "internal", "on_link"), [("l2", False, False), ("l3", False, True), ("l3s", True, False)]
)
def test_an_external_ipvlan_network_of_mode_l3_needs_no_next_hop(monkeypatch, mode, internal, on_link):
    monkeypatch.setattr(SubinterfaceBase, "_create", lambda *_: None)
    joined = replace(network(ipvlan_mode=mode), internal=internal)
    info = IpvlanDriver().join(joined, EndpointSpec("e", "02:42:00:00:00:01"), Sandbox("s", "/nowhere"), "eth0")
    assert (info.interface, info.mac, info.on_link) == ("eth0", "", on_link)
