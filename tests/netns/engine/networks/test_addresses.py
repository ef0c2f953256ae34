"""The addresses that a network reserves, and the numbers of its used and available addresses."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.netns

MODES = [f"com.docker.network.bridge.gateway_mode_ipv{version}=isolated" for version in (4, 6)]


def test_two_containers_use_both_addresses_of_a_point_to_point_network(host):
    host.hawse("network", "create", "--internal", "--subnet", "192.168.135.0/31", "-o", MODES[0], "n1")
    host.hawse("run", "-d", "--name", "one", "--network", "n1", "hostfs", "sleep", "1d")
    host.hawse("run", "--rm", "--network", "n1", "hostfs", "busybox", "ping", "-c1", "-W5", "one")
    (network,) = json.loads(host.hawse("network", "inspect", "-v", "n1").stdout)
    assert network["IPAM"]["Config"] == [{"Subnet": "192.168.135.0/31"}]
    assert network["Status"]["IPAM"]["Subnets"] == {"192.168.135.0/31": {"IPsInUse": 1, "DynamicIPsAvailable": 1}}
    assert host.hawse("network", "verify", "n1").stdout == "ok\n"


def test_each_ip_version_has_its_own_mode_and_a_requested_gateway_is_reserved(host):
    host.hawse("network", "create", "--internal", "--ipv6", "--subnet", "10.9.0.0/24", "-o", MODES[1], "n1")
    asked = ["--subnet", "10.8.0.0/24", "--gateway", "10.8.0.1", "--subnet", "fd08::/56"]
    host.hawse("network", "create", "--internal", "--ipv6", *asked, "-o", MODES[0], "-o", MODES[1], "n2")
    for network in ("n1", "n2"):
        host.hawse("run", "-d", "--name", f"of-{network}", "--network", network, "hostfs", "sleep", "1d")
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}"
    inspected = host.hawse("inspect", "-f", shown, "of-n1", "of-n2").stdout.split()
    assert inspected[0] == "10.9.0.2" and inspected[1].endswith("::1")
    assert inspected[2:] == ["10.8.0.2", "fd08::1"]


def test_other_drivers_ignore_the_gateway_mode_of_bridges(host):
    host.hawse(
        "network", "create", "-d", "macvlan", "--subnet", "10.61.0.0/24", "-o", "parent=ext0", "-o", MODES[0], "n1"
    )
    routes = host.hawse("run", "--rm", "--network", "n1", "hostfs", "ip", "route").stdout
    assert routes.startswith("default via 10.61.0.1 dev eth0")


def test_counts_of_addresses_end_at_the_largest_64_bit_number(host):
    host.hawse("network", "create", "--ipv4=false", "--ipv6", "--subnet", "2001:db8:abcd::/56", "n1")
    shown = host.hawse("network", "inspect", "-v", "-f", "{{json .Status.IPAM.Subnets}}", "n1").stdout
    assert json.loads(shown) == {"2001:db8:abcd::/56": {"IPsInUse": 2, "DynamicIPsAvailable": 2**64 - 1}}
