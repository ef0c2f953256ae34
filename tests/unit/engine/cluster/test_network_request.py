"""The tests check the names of requested cluster networks, and the address pools of their subnets."""

import pytest

from engine.cluster.network_request import check_name, new_record
from engine.errors import InvalidArgument
from engine.model import NetworkCreate
from engine.swarm import swarm


@pytest.mark.parametrize("name", ["a", "0", "a--b_c", "A_1", "a" * 63])
def test_names_that_are_dns_labels_are_accepted(name):
    check_name(name)


@pytest.mark.parametrize("name", ["a.b", "-a", "_a", "a_", "bad name", "é", "a\n", "a" * 200 + "!"])
def test_other_names_are_refused(name):
    with pytest.raises(InvalidArgument, match="name must be valid as a DNS name component"):
        check_name(name)


def test_long_names_are_refused():
    with pytest.raises(InvalidArgument, match="name must be 63 characters or fewer"):
        check_name("a" * 64)


def test_ipam_options_of_the_user_get_the_option_for_serial_allocation_too():
    assert new_record(NetworkCreate("n", driver="overlay")).ipam_options is None
    record = new_record(NetworkCreate("n", driver="overlay", ipam_options={"a": "b"}))
    assert record.ipam_options == {"a": "b", "com.docker.network.ipam.serial": "true"}


@pytest.mark.parametrize(
    ("pools", "size", "text"),
    [
        (["10.5.0.0/16"], 30, "subnet size is out of range: 30"),
        (["10.0.0.0/8", "10.5.0.0/16"], 8, 'invalid CIDR: "10.5.0.0/16". Subnet size is too small for pool: 8'),
        (["fd00::/64"], 24, 'invalid CIDR: "fd00::/64". Subnet size is too small for pool: 24'),
        (["10.0.0.1/8"], 7, 'invalid CIDR: "10.0.0.1/8". Subnet size is too small for pool: 7'),
        (["10.0.0.0/8", "bar"], 24, "invalid base pool bar: invalid CIDR address: bar"),
        ([""], 24, "invalid base pool : invalid CIDR address: "),
        (["10.0.0.0"], 24, "invalid base pool 10.0.0.0: invalid CIDR address: 10.0.0.0"),
        (["10.0.0.0/33"], 24, "invalid base pool 10.0.0.0/33: invalid CIDR address: 10.0.0.0/33"),
        (["fd00::/16"], 24, "invalid base pool fd00::/16: subnets of overlay networks are chosen among IPv4 ones"),
    ],
)
def test_pools_that_give_no_subnets_are_refused(pools, size, text):
    """The texts are those of Docker 26.1.5, except the last."""
    with pytest.raises(InvalidArgument) as refused:
        swarm._parse_pools(pools, size)
    assert str(refused.value) == text


def test_host_bits_of_a_pool_are_dropped():
    assert swarm._parse_pools(["10.5.0.1/16"], 24) == ("10.5.0.0/16",)
