"""The engine reads facts about the host, such as the address ranges that the host's interfaces use."""

from __future__ import annotations

import os
import time
from ipaddress import ip_address, summarize_address_range

import pytest

from drivers.linux import conntrack
from drivers.linux import host as host_facts
from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns


def test_subnets_of_interfaces_count_and_routes_through_gateways_do_not(host):
    host.sh(
        "ip addr add 172.22.7.1/24 dev ext0; ip route add 172.24.0.0/16 via 192.168.99.99; "
        "ip route add 172.25.0.0/16 dev ext0; ip route add 172.26.0.9 dev ext0; "
        "ip route add 172.27.0.0/16 dev lo scope host"
    )
    by_family = [namespaces.run_in_netns(host.path, lambda: host_facts.interface_ranges(version)) for version in (4, 6)]  # noqa: B023
    assert [sorted(map(written, ranges)) for ranges in by_family] == [
        ["172.22.7.0/24", "172.25.0.0/16", "172.26.0.9/32", "192.168.99.0/24"],
        ["fd99::/64"],
    ]


def test_ranges_of_down_interfaces_and_local_tunnel_ends_count(host):
    host.sh(
        "ip link set ext0 down; ip addr add 172.22.7.1 peer 172.23.0.1/24 dev lo; ip addr add 172.25.0.3/16 dev ext0"
    )
    ranges = namespaces.run_in_netns(host.path, lambda: host_facts.interface_ranges(4))
    assert sorted(map(written, ranges)) == ["172.22.7.0/24", "172.25.0.0/16", "192.168.99.0/24"]


def test_addresses_of_an_interface_that_was_just_deleted_are_left_out(netns, monkeypatch):
    netns.sh("ip link set lo up; ip link add a0 type veth peer name b0; ip addr add 192.0.2.1/24 dev a0")
    read = host_facts.address.all_addresses

    def deleting(session):
        held = read(session)
        netns.sh("ip link delete a0")
        return held

    monkeypatch.setattr(host_facts.address, "all_addresses", deleting)
    addresses = namespaces.run_in_netns(netns.path, host_facts.interface_addresses)
    assert addresses == [("lo", ip_address("127.0.0.1")), ("lo", ip_address("::1"))]


def test_a_thousand_addresses_and_routes_are_all_read_correctly(host):
    many = [f"10.{n // 250}.{n % 250}.0/{24 + n % 2}" for n in range(1000)]
    odd = {
        "172.16.0.0/12": "addr add 172.23.5.9/12 dev ext0 label ext0:x",
        "172.25.0.1/32": "route add 172.25.0.1 dev lo",
    }
    added = [f"addr add {network.replace('.0/', '.7/')} dev ext0" for network in many]
    added[500:500] = [*odd.values(), "addr add 192.0.2.1 peer 192.0.3.1/24 dev lo"]
    host.run("ip", "-batch", "-", input="\n".join(added), stdin=None)
    ranges = namespaces.run_in_netns(host.path, lambda: host_facts.interface_ranges(4))
    assert sorted(map(written, ranges)) == sorted([*many, *odd, "192.0.2.0/24", "192.168.99.0/24"])


def written(bounds):
    """Return an address range in prefix notation, as a user writes it in a configuration file."""
    [network] = summarize_address_range(*map(ip_address, bounds))
    return str(network)


def test_a_namespace_with_the_inode_number_of_a_deleted_one_has_another_boot_identity():
    identities: dict[int, str] = {}
    for _ in range(1000):  # a few attempts suffice if no other program makes namespaces
        with namespaces.new_netns():
            inode, identity = os.stat("/proc/self/ns/net").st_ino, host_facts.boot_identity()
            assert identity == host_facts.boot_identity()
        if inode in identities:
            assert identity != identities[inode]
            return
        identities[inode] = identity
        time.sleep(0.02)  # the kernel deletes namespaces in the background
    pytest.fail("no inode number was used twice")


def test_port_ranges_are_read_from_the_sysctls(host):
    host.sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40010' net.ipv4.ip_local_reserved_ports=40001,40003-40005")
    assert namespaces.run_in_netns(host.path, host_facts.ephemeral_ports) == (40000, 40010)
    assert namespaces.run_in_netns(host.path, host_facts.reserved_ports) == [(40001, 40001), (40003, 40005)]


def test_existing_interfaces_and_rights_are_recognised(host):
    assert namespaces.run_in_netns(host.path, lambda: host_facts.interface_exists("ext0"))
    assert not namespaces.run_in_netns(host.path, lambda: host_facts.interface_exists("nosuch"))
    assert host_facts.has_net_admin()


def test_only_the_flows_of_an_address_are_forgotten(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    first, second = lab.container(n1, 2), lab.container(n1, 3)
    for address in ("192.168.99.99", "fd99::99"):
        lab.serve(peer, 80, "udp", address)
        for container in (first, second):
            assert lab.ask(container, address, 80, "udp")
    for address in ("172.30.0.2", "fd00:30::2"):
        lab.on_host(lambda: conntrack.forget_addresses([ip_address(address)]))  # noqa: B023
    left = lab.host.sh("conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null")
    assert "172.30.0.2" not in left
    assert "fd00:30::2" not in left
    assert "172.30.0.3" in left
    assert "fd00:30::3" in left
