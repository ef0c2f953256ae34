"""The flag ``--network`` has two notations, and is combined with the separate network flags.

The error texts are those of Docker 26.1.5.
"""

import time

import pytest

from cli.options.network import NetworkOption, endpoint_settings, network_mode, parse_network
from engine.model import EndpointIPAM, EndpointSettings

NOTHING = NetworkOption()


def settings(*values: str, **flags) -> dict[str, EndpointSettings]:
    return endpoint_settings([parse_network(value) for value in values], NetworkOption(**flags))


def refusal(*values: str, **flags) -> str:
    with pytest.raises(ValueError) as caught:
        settings(*values, **flags)
    return str(caught.value)


def test_long_syntax_reads_every_field_in_lower_case():
    value = "Name=App,alias=One,alias=two,ip=10.0.0.5,ip6=FD00::5,mac-address=02:AA:00:00:00:01"
    assert parse_network(value + ",driver-opt=k=v,link-local-ip=169.254.1.1,gw-priority=7") == NetworkOption(
        "app", ("one", "two"), (), "10.0.0.5", "fd00::5", ("169.254.1.1",), "02:aa:00:00:00:01", {"k": "v"}, 7
    )


def test_long_name_is_read_in_linear_time():
    start = time.process_time()
    assert parse_network("a" * 100_000) == NetworkOption("a" * 100_000)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("name=a,foo=1", "invalid field key foo"),
        ("name=a,alias", "invalid field alias"),
        ("ip=1.2.3.4", "network name/id is not specified"),
        ("name=a,driver-opt=x", "invalid key value pair format in driver options"),
        ("name=a,gw-priority=x", "invalid gw-priority (x): invalid syntax"),
        ('name=a,"b', 'parse error on line 1, column 10: extraneous or missing " in quoted-field'),
    ],
)
def test_a_wrong_long_syntax_gives_dockers_error(value, text):
    with pytest.raises(ValueError) as caught:
        parse_network(value)
    assert str(caught.value) == text


def test_without_the_flag_network_the_default_network_gets_the_flags_but_no_links():
    assert network_mode([]) == "default"
    assert settings(ipv4="172.17.0.9", links=("db",)) == {"default": EndpointSettings(EndpointIPAM("172.17.0.9"))}


def test_one_network_without_options_needs_no_endpoint_settings():
    assert settings("app") == {}
    assert network_mode([parse_network("app")]) == "app"


def test_flags_belong_to_the_first_network():
    assert settings("zz", "aa", aliases=("web",), mac="02:00:00:00:00:01", links=("db:x",)) == {
        "zz": EndpointSettings(links=("db:x",), aliases=("web",), mac_address="02:00:00:00:00:01"),
        "aa": EndpointSettings(),
    }


def test_conflicts_between_flags_and_long_syntax():
    text = "conflicting options: cannot specify both "
    assert refusal("name=n,alias=a", aliases=("b",)) == text + "--network-alias and per-network alias"
    assert refusal("name=n,ip=1.2.3.4", ipv4="1.2.3.5") == text + "--ip and per-network IPv4 address"
    assert refusal("name=n,ip6=::1", ipv6="::2") == text + "--ip6 and per-network IPv6 address"
    assert refusal("name=n,mac-address=x", mac="y") == text + "--mac-address and per-network MAC address"
    assert refusal("name=n,link-local-ip=1", link_local=("2",)) == (
        text + "--link-local-ip and per-network link-local IP addresses"
    )


def test_what_predefined_networks_refuse():
    assert refusal("bridge", aliases=("a",)) == ("network-scoped aliases are only supported for user-defined networks")
    assert refusal("container:c0", links=("c0:y",)) == "links are only supported for user-defined networks"
    assert refusal("host", "n1") == (
        "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
    )


def test_an_empty_or_repeated_network_and_a_wrong_mac_are_refused():
    assert refusal("") == "no name set for network"
    assert refusal("n1", "n1") == 'network "n1" is specified multiple times'
    assert refusal("name=n1,mac-address=bogus") == "bogus is not a valid mac address"
