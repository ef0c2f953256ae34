"""hawse checks the options of bridge networks. Wrong options give Docker's error texts."""

from __future__ import annotations

import pytest

from drivers import bridge_options
from drivers.bridge import BridgeDriver
from drivers.bridge_options import BridgeOptions
from drivers.errors import BadOption, Exists
from drivers.model import NetworkSpec

NETWORK = "com.docker.network."
BRIDGE = NETWORK + "bridge."
ID = "0123456789abcdef" * 4


def parse(options: dict[str, str], **fields) -> BridgeOptions:
    parsed = bridge_options.parse(NetworkSpec(id=ID, name="n1", options=options, **fields))
    bridge_options.check_kernel_limits(parsed)
    return parsed


def test_defaults_apply_and_unknown_options_are_ignored():
    assert parse({"foo": "bar"}) == BridgeOptions(bridge="br-0123456789ab")


def test_an_empty_bridge_name_means_the_generated_one():
    assert parse({BRIDGE + "name": ""}).bridge == "br-0123456789ab"


@pytest.mark.parametrize(
    ("value", "trusted"),
    [
        ("", ()),
        ("eth0", ("eth0",)),
        (":eth0::br-x:eth0:", ("eth0", "br-x")),
        ('sixteen-letters-:et/h:e"h:..:ok', ("ok",)),
    ],
)
def test_trusted_interfaces_are_split_at_colons(value, trusted):
    assert parse({BRIDGE + "trusted_host_interfaces": value}).trusted == trusted


@pytest.mark.parametrize("value", ["1", "t", "T", "TRUE", "true", "True"])
def test_every_spelling_of_true(value):
    assert parse({BRIDGE + "inhibit_ipv4": value}).inhibit_ipv4


@pytest.mark.parametrize("value", ["0", "f", "F", "FALSE", "false", "False"])
def test_every_spelling_of_false(value):
    parsed = parse({BRIDGE + "enable_icc": value, BRIDGE + "enable_ip_masquerade": value})
    assert not parsed.icc
    assert not parsed.masquerade


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        (NETWORK + "driver.mtu", "abc", '(strconv.Atoi: parsing "abc": invalid syntax)'),
        (NETWORK + "driver.mtu", "", '(strconv.Atoi: parsing "": invalid syntax)'),
        (NETWORK + "driver.mtu", "99999999999999999999", "value out of range)"),
        (NETWORK + "driver.mtu", "9" * 5000, "value out of range)"),
        (NETWORK + "driver.mtu", "-9223372036854775809", "value out of range)"),
        (BRIDGE + "enable_icc", "maybe", '(strconv.ParseBool: parsing "maybe": invalid syntax)'),
        (BRIDGE + "enable_icc", "", '(strconv.ParseBool: parsing "": invalid syntax)'),
        (BRIDGE + "enable_ip_masquerade", "2", '(strconv.ParseBool: parsing "2": invalid syntax)'),
        (BRIDGE + "inhibit_ipv4", "yes", '(strconv.ParseBool: parsing "yes": invalid syntax)'),
        (BRIDGE + "default_bridge", "maybe", '(strconv.ParseBool: parsing "maybe": invalid syntax)'),
        (NETWORK + "enable_ipv6", "maybe", '(strconv.ParseBool: parsing "maybe": invalid syntax)'),
        (BRIDGE + "host_binding_ipv4", "bogus", "(nil ip)"),
        (NETWORK + "host_ipv4", "abc", "(nil ip)"),
        (NETWORK + "host_ipv4", "fd00::1", "(nil ip)"),
        (NETWORK + "host_ipv6", "10.0.0.1", "(nil ip)"),
        (BRIDGE + "gateway_mode_ipv4", "foo", "(unknown gateway mode foo)"),
    ],
)
def test_a_wrong_value_is_refused_in_dockers_words(label, value, message):
    with pytest.raises(BadOption) as caught:
        parse({label: value})
    assert str(caught.value).startswith(f"failed to parse {label} value: {value} (")
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        (NETWORK + "driver.mtu", "-1", "invalid MTU number: -1"),
        (NETWORK + "driver.mtu", "-9223372036854775808", "invalid MTU number: -9223372036854775808"),
        (NETWORK + "driver.mtu", "67", "invalid argument"),
        (NETWORK + "driver.mtu", "65536", "invalid argument"),
        (BRIDGE + "name", "averyveryverylongname", "numerical result out of range"),
        *(
            (BRIDGE + "name", name, "invalid argument")
            for name in (".", "..", "a/b", "a b", "br:x", 'a"b', "a*", "a\\b")
        ),
    ],
)
def test_values_that_the_kernel_would_refuse_are_refused_with_the_kernels_error_text(label, value, message):
    with pytest.raises(BadOption) as caught:
        parse({label: value})
    assert str(caught.value) == message


@pytest.mark.parametrize("value", ["0", "68", "65535", "+1500"])
def test_mtus_that_docker_takes(value):
    assert parse({NETWORK + "driver.mtu": value}).mtu == int(value)


def test_modes_are_per_family_and_isolated_needs_an_internal_network():
    parsed = parse({BRIDGE + "gateway_mode_ipv6": "routed", BRIDGE + "gateway_mode_ipv4": "nat-unprotected"})
    assert (parsed.mode(4), parsed.mode(6)) == ("nat-unprotected", "routed")
    assert parse({BRIDGE + "gateway_mode_ipv4": "isolated"}, internal=True).mode(4) == "isolated"
    with pytest.raises(BadOption):
        parse({BRIDGE + "gateway_mode_ipv4": "isolated"})


def test_two_networks_cannot_share_a_bridge_but_a_network_does_not_conflict_with_itself():
    first = NetworkSpec(id=ID, name="n1", options={BRIDGE + "name": "mybr0"})
    second = NetworkSpec(id="f" * 64, name="n2", options={BRIDGE + "name": "mybr0"})
    BridgeDriver().check_network(first, [first])
    with pytest.raises(Exists) as caught:
        BridgeDriver().check_network(second, [first])
    conflict = f"conflicts with network {ID} (mybr0): networks have same bridge name"
    assert str(caught.value) == f"cannot create network {second.id} (mybr0): {conflict}"
