"""Networks that dockerd 26.1.5 refuses to create or remove, with its error texts."""

import pytest

from drivers.registry import available
from engine.errors import Conflict, Forbidden, InvalidArgument, NotFound
from engine.model import EndpointRecord, IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord
from engine.validate.network import check_network_create, check_network_remove

DRIVERS = available()
S = "10.1.0.0/16"
NULL_IPAM = "null ipam driver does not handle %s address pool requests"


def existing():
    cfg = NetworkRecord(
        "c" * 64,
        "cfg",
        "",
        "null",
        config_only=True,
        pools=[PoolRecord("10.78.0.0/24", gateway="10.78.0.9")],
        options={"o": "1"},
        labels={"l": "1"},
        ipam_options={},
    )
    return [
        NetworkRecord("b" * 64, "bridge", "", "bridge", predefined=True),
        NetworkRecord("h" * 64, "host", "", "host", predefined=True),
        NetworkRecord("n" * 64, "none", "", "null", predefined=True),
        NetworkRecord("1" * 64, "n1", "", "bridge"),
        cfg,
        NetworkRecord("f" * 64, "fromcfg", "", "bridge", config_from="cfg"),
    ]


def create(**fields):
    return check_network_create(NetworkCreate(**{"name": "t1", **fields}), existing(), DRIVERS, clustered=False)


def fault(error, **fields):
    with pytest.raises(error) as caught:
        create(**fields)
    return str(caught.value)


def pool(subnet, ip_range="", gateway="", **aux):
    return [IPAMConfig(subnet, ip_range, gateway, aux)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bogus",
        "10.1/16",
        " 10.1.0.0/16",
        "10.1.0.0",
        "10.1.0.0/33",
        "10.1.0.0/016",
        "10.1.0.0/255.255.0.0",
        "010.1.0.0/16",
        "fd79::/129",
        "fe80::%eth0/64",
    ],
)
def test_a_subnet_needs_cidr_notation(text):
    expected = f"invalid network config:\ninvalid subnet {text}: invalid CIDR block notation"
    assert fault(InvalidArgument, ipam_config=pool(text)) == expected


@pytest.mark.parametrize("text", [S, "10.1.0.0/31", "10.1.0.0/32", "127.0.0.0/8", "224.0.0.0/24", "0.0.0.0/8"])
def test_odd_subnets_are_accepted(text):
    assert create(ipam_config=pool(text)).ipam_config[0].subnet == text


@pytest.mark.parametrize(
    ("config", "faults"),
    [
        (pool("10.1.2.3/16"), "invalid subnet 10.1.2.3/16: it should be 10.1.0.0/16"),
        (pool("10.1.0.0/0"), "invalid subnet 10.1.0.0/0: it should be 0.0.0.0/0"),
        (pool(S, "bogus"), "invalid ip-range bogus: invalid CIDR block notation"),
        (pool(S, "10.1.1.0"), "invalid ip-range 10.1.1.0: invalid CIDR block notation"),
        (pool(S, "10.1.1.1/24"), "invalid ip-range 10.1.1.1/24: it should be 10.1.1.0/24"),
        (pool(S, "10.2.0.0/24"), f"invalid ip-range 10.2.0.0/24: parent subnet {S} doesn't contain ip-range"),
        (pool(S, "10.0.0.0/8"), f"invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet {S}"),
        (pool(S, "fd79::/64"), "invalid ip-range fd79::/64: parent subnet is an IPv4 block"),
        (
            pool(S, "10.1.2.3/8"),
            f"* invalid ip-range 10.1.2.3/8: CIDR block is bigger than its parent subnet {S}\n"
            "* invalid ip-range 10.1.2.3/8: it should be 10.0.0.0/8",
        ),
        (pool(S, "", "bogus"), "invalid gateway bogus: invalid address"),
        (pool(S, "", "10.1.0.1/16"), "invalid gateway 10.1.0.1/16: invalid address"),
        (pool(S, "", "10.2.0.1"), f"invalid gateway 10.2.0.1: parent subnet {S} doesn't contain this address"),
        (pool(S, "", "fd79::1"), "invalid gateway fd79::1: parent subnet is an IPv4 block"),
        (pool(S, "", "::ffff:10.1.0.7"), "invalid gateway ::ffff:10.1.0.7: parent subnet is an IPv4 block"),
        (pool(S, k="bogus"), "invalid auxiliary address k: invalid address"),
        (pool(S, k="10.2.0.1"), f"invalid auxiliary address k: parent subnet {S} doesn't contain this address"),
        (pool(S, k="fd79::1"), "invalid auxiliary address k: parent subnet is an IPv4 block"),
        (
            pool("10.1.2.3/16", "10.2.3.4/8", "1.2.3.4", a="x"),
            "* invalid subnet 10.1.2.3/16: it should be 10.1.0.0/16\n"
            "* invalid ip-range 10.2.3.4/8: CIDR block is bigger than its parent subnet 10.1.2.3/16\n"
            "* invalid ip-range 10.2.3.4/8: it should be 10.0.0.0/8\n"
            "* invalid gateway 1.2.3.4: parent subnet 10.1.2.3/16 doesn't contain this address\n"
            "* invalid auxiliary address a: invalid address",
        ),
    ],
)
def test_all_faults_of_a_pool_are_listed(config, faults):
    assert fault(InvalidArgument, ipam_config=config) == f"invalid network config:\n{faults}"


def test_an_ipv6_subnet_is_checked_only_on_an_ipv6_network():
    bad = pool("fd79::1/64", "bogus", "bogus")
    assert create(ipam_config=bad).ipam_config == bad
    assert fault(InvalidArgument, ipam_config=bad, enable_ipv6=True) == (
        "invalid network config:\n* invalid subnet fd79::1/64: it should be fd79::/64\n"
        "* invalid ip-range bogus: invalid CIDR block notation\n* invalid gateway bogus: invalid address"
    )


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"name": "host", "driver": "nosuch"}, Forbidden, "operation is not permitted on predefined host network "),
        ({"name": "default"}, Forbidden, "operation is not permitted on predefined default network "),
        ({"name": "host", "driver": "overlay"}, Forbidden, "operation is not permitted on predefined host network "),
        ({"name": ""}, InvalidArgument, "invalid name: "),
        ({"name": "  "}, InvalidArgument, "invalid name:   "),
        ({"name": "n1", "driver": "nosuch"}, Conflict, "network with name n1 already exists"),
        ({"name": "n1", "config_only": True, "internal": True}, Conflict, "network with name n1 already exists"),
        ({"driver": "nosuch"}, NotFound, 'plugin "nosuch" not found'),
        ({"driver": "Bridge"}, NotFound, 'plugin "Bridge" not found'),
        ({"driver": "none"}, NotFound, 'plugin "none" not found'),
        ({"driver": "host"}, Forbidden, 'only one instance of "host" network is allowed'),
        ({"driver": "null", "scope": "bogus"}, Forbidden, 'only one instance of "null" network is allowed'),
        ({"driver": "null", "ipam_driver": "x"}, Forbidden, 'only one instance of "null" network is allowed'),
        ({"scope": "swarm"}, Forbidden, "cannot create a swarm scoped network when swarm is not active"),
        ({"scope": "swarm", "driver": "nosuch"}, NotFound, 'plugin "nosuch" not found'),
        ({"ingress": True}, Forbidden, "Ingress network can only be global scope network"),
        ({"ingress": True, "scope": "swarm"}, Forbidden, "Ingress network can only be global scope network"),
        ({"ingress": True, "driver": "nosuch"}, NotFound, 'plugin "nosuch" not found'),
        ({"ipam_driver": "nosuch"}, NotFound, 'plugin "nosuch" not found'),
        ({"ipam_driver": "null"}, InvalidArgument, "ipv4 pool is empty"),
        ({"ipam_driver": "null", "ipam_config": pool(S)}, InvalidArgument, NULL_IPAM % "specific"),
        ({"ipam_driver": "null", "ipam_config": pool(S), "enable_ipv6": True}, InvalidArgument, NULL_IPAM % "specific"),
        ({"ipam_driver": "null", "enable_ipv6": True}, InvalidArgument, NULL_IPAM % "IPv6"),
        ({"ipam_driver": "null", "ipam_config": pool("fd00::/64")}, InvalidArgument, "ipv4 pool is empty"),
        (
            {"ipam_config": pool(S, k="")},
            InvalidArgument,
            "non parsable secondary ip address (k:) passed for network t1",
        ),
    ],
)
def test_networks_that_docker_refuses_to_create(fields, error, text):
    assert fault(error, **fields) == text


def test_a_network_without_ipv4_has_no_ipv4_subnet():
    """Docker 28 ignores the IPv4 subnet, too."""
    both = [*pool(S), *pool("fd79::/64")]
    assert list(create(ipam_config=both, enable_ipv4=False, enable_ipv6=True).ipam_config) == pool("fd79::/64")
    assert create(ipam_config=both, enable_ipv6=True).ipam_config == both


@pytest.mark.parametrize("name", ["a b", "-x", "a/b", "a:b", ".dot", "1", "é", "a@b", "ingress", "Host", "N1"])
def test_nearly_any_name_is_accepted(name):
    assert create(name=name).name == name


def test_the_configuration_is_checked_before_the_name():
    text = "invalid network config:\ninvalid subnet x: invalid CIDR block notation"
    assert fault(InvalidArgument, name="n1", ipam_config=pool("x")) == text
    assert fault(InvalidArgument, name="", ipam_config=pool("x")) == text


@pytest.mark.parametrize("name", ["t1", "n1"])
def test_an_overlay_needs_a_cluster(name):
    assert fault(Forbidden, name=name, driver="overlay") == (
        'This node is not a swarm manager. Use "hawse swarm init" or "hawse swarm join" '
        "to connect this node to swarm and try again."
    )


def test_an_overlay_cannot_be_local():
    request = NetworkCreate("t1", driver="overlay", scope="local")
    with pytest.raises(Forbidden, match=r"^cannot downgrade network scope for overlay networks$"):
        check_network_create(request, existing(), DRIVERS, clustered=True)


def test_any_other_scope_is_accepted():
    assert create(scope="bogus").scope == "bogus"


def test_an_empty_driver_means_bridge():
    assert create(driver="").driver == "bridge"


@pytest.mark.parametrize("field", [{"internal": True}, {"attachable": True}, {"ingress": True}, {"scope": "local"}])
def test_a_config_only_network_with_operator_fields_is_refused(field):
    assert fault(Forbidden, config_only=True, **field) == (
        "configuration network can only contain network specific fields. Network operator fields like "
        "[ ingress | internal | attachable | scope ] are not supported."
    )


def test_a_config_only_network_may_name_a_missing_driver():
    assert create(config_only=True, driver="nosuch").driver == "null"


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"config_only": True}, Forbidden, "a configuration network cannot depend on another configuration network"),
        (
            {"options": {"a": "b"}},
            Forbidden,
            "network driver options are not supported if the network depends on a configuration network",
        ),
        ({"config_from": "n1"}, NotFound, 'configuration network "n1" does not exist'),
        ({"config_from": "nosuch", "driver": "nosuch"}, NotFound, 'plugin "nosuch" not found'),
        ({"config_from": "c" * 64}, NotFound, f'configuration network "{"c" * 64}" does not exist'),
        ({"driver": "host"}, Forbidden, 'only one instance of "host" network is allowed'),
        ({"ingress": True}, Forbidden, "Ingress network can only be global scope network"),
    ],
)
def test_networks_with_config_from_that_docker_refuses_to_create(fields, error, text):
    assert fault(error, **{"config_from": "cfg", **fields}) == text


@pytest.mark.parametrize(
    "field",
    [{"enable_ipv6": True}, {"labels": {"a": "b"}}, {"ipam_driver": "null"}, {"ipam_config": pool(S)}],
)
def test_settings_beside_config_from_are_refused(field):
    assert fault(Forbidden, config_from="cfg", **field) == (
        "user specified configurations are not supported if the network depends on a configuration network"
    )


def test_a_network_with_config_from_gets_all_settings_of_the_named_network():
    made = create(config_from="cfg", internal=True)
    assert made.ipam_config == (IPAMConfig("10.78.0.0/24", "", "10.78.0.9", {}),)
    assert (made.options, made.labels, made.internal, made.driver) == ({"o": "1"}, {"l": "1"}, True, "bridge")


def network(name):
    return next(n for n in existing() if n.name == name)


@pytest.mark.parametrize("name", ["bridge", "host", "none"])
def test_a_predefined_network_is_not_removed(name):
    with pytest.raises(Forbidden, match=rf"^{name} is a pre-defined network and cannot be removed$"):
        check_network_remove(network(name), [], existing())


def test_a_network_in_use_is_not_removed():
    endpoint = EndpointRecord("e", "1" * 64, "c", "")
    with pytest.raises(Forbidden) as caught:
        check_network_remove(network("n1"), [endpoint], existing())
    assert str(caught.value) == f"error while removing network: network n1 id {'1' * 64} has active endpoints"


def test_a_config_only_network_in_use_is_not_removed():
    text = '^error while removing network: configuration network "cfg" is in use$'
    with pytest.raises(Forbidden, match=text):
        check_network_remove(network("cfg"), [], existing())


def test_an_unused_network_can_be_removed():
    check_network_remove(network("n1"), [], existing())
    check_network_remove(network("cfg"), [], [])
