"""The tests check which sysctls a sandbox or endpoint accepts, and which files in /proc/sys they name."""

from __future__ import annotations

from ipaddress import IPv6Interface

import pytest

from drivers import sandbox
from drivers.errors import BadOption
from drivers.linux.link import Link
from drivers.linux.sysctl import user_path
from drivers.model import EndpointSpec
from drivers.sandbox import SYSCTLS_OPTION, endpoint_sysctls


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.10/forwarding", "net/ipv4/conf/eth0.10/forwarding"),
        ("net.ipv4.conf.eth0/10.forwarding", "net/ipv4/conf/eth0.10/forwarding"),
    ],
)
def test_keys_may_be_written_with_dots_or_slashes(key, path):
    assert user_path(key) == path


@pytest.mark.parametrize(
    "key", ["kernel.hostname", "net", "", "net..ipv4", "net/../kernel/hostname", "net.//.x", "/net"]
)
def test_keys_outside_net_are_refused(key):
    with pytest.raises(BadOption):
        user_path(key)


def test_an_endpoints_sysctls_name_its_interface_by_placeholder():
    options = {SYSCTLS_OPTION: "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2"}
    assert endpoint_sysctls(options, "eth0.1") == {
        "net/ipv4/conf/eth0.1/log_martians": "1",
        "net/ipv6/conf/eth0.1/accept_ra": "2",
    }


def test_the_placeholder_may_be_in_the_lower_case_that_docker_makes_of_it():
    options = {SYSCTLS_OPTION: "net.ipv4.conf.ifname.log_martians=1"}
    assert endpoint_sysctls(options, "eth0") == {"net/ipv4/conf/eth0/log_martians": "1"}


@pytest.mark.parametrize(
    "value", ["net.ipv4.conf.eth0.log_martians=1", "net.ipv4.ip_forward=1", "net.ipv4.conf.IFNAME.forwarding", "x=1"]
)
def test_invalid_sysctls_of_an_endpoint_are_refused(value):
    with pytest.raises(BadOption):
        endpoint_sysctls({SYSCTLS_OPTION: value}, "eth0")


def test_an_endpoints_sysctl_cannot_leave_its_directory():
    with pytest.raises(BadOption):
        endpoint_sysctls({SYSCTLS_OPTION: "net.ipv4.conf.IFNAME.../../ip_forward=1"}, "eth0")


@pytest.mark.parametrize(
    ("kind", "wrong"), [("veth", {"address": "02:42:00:00:00:01", "mtu": 1280}), ("macvlan", {}), ("ipvlan", {})]
)
def test_only_a_veth_has_a_mac_and_an_mtu_to_be_restored(kind, wrong):
    endpoint = EndpointSpec("e1", "02:42:00:00:00:01", ipv6=IPv6Interface("fd31::2/64"))
    present = Link("eth0", 2, kind, "", "02:42:00:00:00:99", 600, True)
    assert sandbox._wrong_attributes(endpoint, present) == wrong
