"""Endpoint settings that dockerd 26.1.5 refuses, with its error texts."""

import pytest
from msgspec.structs import replace

from engine.errors import InvalidArgument
from engine.model import EndpointIPAM, EndpointSettings, NetworkRecord, PoolRecord
from engine.validate.endpoint import check_endpoint_settings, check_networking_config

PREDEFINED = "user specified IP address is supported on user defined networks only"
ALIAS = "network-scoped alias is supported only for containers in user defined networks"
AUTOMATIC = "user specified IP address is supported only when connecting to networks with user configured subnets"
N1 = NetworkRecord("1" * 64, "n1", "", "bridge", pools=[PoolRecord("172.18.0.0/16", automatic=True)])
N2 = NetworkRecord(
    "2" * 64,
    "n2",
    "",
    "bridge",
    enable_ipv6=True,
    pools=[PoolRecord("10.77.0.0/24", ip_range="10.77.0.128/25"), PoolRecord("fd77::/64")],
)
SIX = NetworkRecord("6" * 64, "six", "", "bridge", pools=[PoolRecord("fd78::1/64", unused=True)])
BRIDGE = NetworkRecord(
    "b" * 64, "bridge", "", "bridge", predefined=True, pools=[PoolRecord("172.17.0.0/16", automatic=True)]
)


def fault(network, **ipam):
    settings = EndpointSettings(
        ipam=EndpointIPAM(**ipam) if not ipam.keys() & {"aliases", "mac_address"} else None,
        aliases=ipam.get("aliases"),
        mac_address=ipam.get("mac_address", ""),
    )
    with pytest.raises(InvalidArgument) as caught:
        check_endpoint_settings(network.name, settings, network)
    return str(caught.value).removeprefix("invalid endpoint settings:\n")


def bullets(*faults):
    return "\n".join(f"* {f}" for f in faults)


def outside(address):
    return f"no configured subnet or ip-range contain the IP address {address}"


@pytest.mark.parametrize("address", ["bogus", "0.0.0.0", "010.77.0.9", " 10.77.0.131", "10.77.0.9/24", "fd77::5"])
def test_a_malformed_ipv4_address_has_two_faults(address):
    expected = [f"invalid IPv4 address: {address}", outside(address)]
    assert fault(N2, ipv4=address) == bullets(*expected)


@pytest.mark.parametrize("address", ["10.77.0.131", "::", "fd77::5%eth0", "bogus"])
def test_a_malformed_ipv6_address_has_two_faults(address):
    assert fault(N2, ipv6=address) == bullets(f"invalid IPv6 address: {address}", outside(address))


def test_an_address_of_another_subnet_is_refused():
    assert fault(N2, ipv4="1.1.1.1") == outside("1.1.1.1")


@pytest.mark.parametrize(
    ("network", "ipam"),
    [
        (N2, EndpointIPAM("10.77.0.1")),  # the address is in the subnet, but outside the IP range
        (N2, EndpointIPAM("::ffff:10.77.0.140")),
        (N2, EndpointIPAM("", "FD77::ABC")),
        (N2, EndpointIPAM(link_local=["169.254.3.4", "10.1.1.1"])),
        (SIX, EndpointIPAM("", "fd78::5")),  # the address is refused, because the network has no IPv6
        (None, EndpointIPAM("1.2.3.4")),
    ],
)
def test_addresses_that_docker_accepts(network, ipam):
    check_endpoint_settings("n2", EndpointSettings(ipam=ipam), network)


def test_an_address_on_an_automatic_subnet_is_refused():
    assert fault(N1, ipv4="172.18.0.9") == AUTOMATIC
    assert fault(N1, ipv4="172.18.0.9", ipv6="fd00::1") == bullets(AUTOMATIC, AUTOMATIC)


def test_the_default_bridge_takes_neither_address_nor_alias():
    assert fault(BRIDGE, ipv4="172.17.0.9") == bullets(PREDEFINED, AUTOMATIC)
    assert fault(BRIDGE, aliases=["x"]) == ALIAS


def test_a_default_bridge_whose_subnet_the_user_configured_takes_no_address_for_one_reason():
    """Docker 26.1.5 gives this one error if daemon.json has the key bip."""
    configured = replace(BRIDGE, pools=[PoolRecord("172.17.0.0/16")])
    assert fault(configured, ipv4="172.17.0.9") == PREDEFINED


def test_invalid_link_local_addresses_are_refused():
    assert fault(N2, link_local=["x", "0.0.0.0", "1.2.3.4"]) == bullets(
        "invalid link-local IP address: x", "invalid link-local IP address: 0.0.0.0"
    )


def test_a_malformed_mac_is_the_only_reported_error():
    with pytest.raises(InvalidArgument, match=r"^invalid MAC address bogus$"):
        check_endpoint_settings("n1", EndpointSettings(EndpointIPAM("bogus"), mac_address="bogus"), N1)


def test_creation_lists_the_faults_of_every_network():
    settings = {
        "n1": EndpointSettings(EndpointIPAM("9.9.9.9")),
        "n2": EndpointSettings(EndpointIPAM("bogus", "1.2.3.4", ["x"])),
    }
    with pytest.raises(InvalidArgument) as caught:
        check_networking_config(settings, {"n1": N1, "n2": N2})
    assert str(caught.value) == (
        f"* invalid config for network n1: invalid endpoint settings:\n\t{AUTOMATIC}\n"
        "* invalid config for network n2: invalid endpoint settings:\n"
        "\t* invalid IPv4 address: bogus\n\t* invalid IPv6 address: 1.2.3.4\n"
        "\t* invalid link-local IP address: x\n"
        f"\t* {outside('bogus')}\n\t* {outside('1.2.3.4')}"
    )


def test_creation_names_the_one_network_at_fault():
    with pytest.raises(InvalidArgument) as caught:
        check_networking_config({"host": EndpointSettings(EndpointIPAM("172.30.0.4"))}, {"host": BRIDGE})
    assert str(caught.value) == (
        f"invalid config for network host: invalid endpoint settings:\n* {PREDEFINED}\n* {AUTOMATIC}"
    )
