"""Every driver operation can be repeated, undone twice, and repaired after another program's damage.

After all networks are removed, the driver has left nothing on the host.
"""

from __future__ import annotations

import os
import re

import pytest
from msgspec.structs import replace

from drivers import firewall
from drivers import sandbox as sandboxes
from drivers.errors import Busy, DriverError, Exists, KernelError, Missing
from drivers.firewall import table
from drivers.linux import link, names
from drivers.linux.default_routes import DefaultRoute
from drivers.linux.netlink import Session
from drivers.model import Sandbox

pytestmark = pytest.mark.netns

HOST = "192.168.99.11"
KERNEL_STATE = r"""
ip -d -o link | sed -E 's/^[0-9]+: //; s/(timer|fdb_n_learned) +[0-9.]+//g'; ip -o addr | sed -E 's/^[0-9]+: //'
ip route; ip -6 route; nft list ruleset
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
cd /proc/sys/net; grep -H . ipv4/conf/*/route_localnet ipv6/conf/*/accept_ra ipv6/conf/*/forwarding
"""


def kernel_state(lab) -> str:
    """Return the kernel state of the host, after the kernel has noticed the carrier of each link."""
    lab.await_carriers()
    return lab.host.sh(KERNEL_STATE)


def test_nothing_is_left_behind(lab):
    before = kernel_state(lab)
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    c1 = lab.container(n1, 2, [lab.binding(8080, 80), lab.binding(7000, 7000, host_port_end=7010, port_end=7010)])
    assert kernel_state(lab) != before
    for _ in range(2):
        lab.leave(c1)
        lab.on_host(lambda: lab.driver.delete_network(n1))
    assert lab.elements() == [e for e in lab.elements() if e.set in ("forwarding", "router_advertisements")]
    for _ in range(2):
        lab.on_host(firewall.teardown)
    assert kernel_state(lab) == before


def test_everything_can_be_done_twice(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    c1 = lab.container(n1, 2, [lab.binding(8080, 80)])
    before, rules = kernel_state(lab), lab.elements()
    lab.on_host(lambda: lab.driver.create_network(n1))
    lab.on_host(lambda: lab.driver.publish(n1, c1.endpoint, c1.endpoint.ports))
    assert (kernel_state(lab), lab.elements()) == (before, rules)
    lab.join(c1, n1, 2, interface="eth0")
    lab.serve(c1, 80)
    assert lab.ask(peer, HOST, 8080) == "192.168.99.99"


def test_an_endpoint_leaves_even_if_its_sandbox_is_gone(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    c1 = lab.container(n1, 2)
    lab.host.sh(f"ip link del veth{c1.endpoint.id[:7]}")
    lab.on_host(lambda: lab.driver.leave(n1, c1.endpoint, None))
    with pytest.raises(Missing):
        lab.on_host(lambda: lab.driver.join(n1, c1.endpoint, Sandbox("gone", "/run/netns/nosuch"), "eth0"))


def test_a_failed_join_leaves_nothing(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    c1 = lab.container(n1, 2)
    before = lab.host.sh("ip -o link")
    with pytest.raises(Exists, match="eth0"):
        lab.join(c1, n1, 3, interface="eth0")
    assert lab.host.sh("ip -o link") == before


def test_a_link_of_another_program_with_the_same_name_stays(lab):
    """Another program's link has the name that the endpoint's link would get. hawse gives the endpoint's link another
    name.

    If an interrupted join of the same endpoint left a link, hawse still finds that link.
    """
    n1 = lab.network("n1", "172.30.0.0/16")
    first, second = names.host_end_names(lab.endpoint(n1, 2).id)[:2]
    lab.host.sh(f"ip link add {first} type veth peer name far")
    c1 = lab.container(n1, 2)
    assert {first, second} <= set(lab.host.sh("ls /sys/class/net").split())
    lab.host.sh(f"ip link set {second} alias ''")
    lab.leave(c1)
    assert {first, second} & set(lab.host.sh("ls /sys/class/net").split()) == {first}


def test_a_failed_creation_leaves_nothing(lab):
    lab.host.sh("nft 'table inet hawse { set bridges { type ipv4_addr; }; }'")  # as if another program had made the set
    before = kernel_state(lab)
    with pytest.raises(DriverError, match="nftables"):
        lab.network("n1", "172.30.0.0/16")
    assert kernel_state(lab) == before


def test_a_flushed_firewall_comes_back_whole_and_live_connections_go_on(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16", options={"com.docker.network.bridge.enable_icc": "false"})
    web = lab.container(n1, 2, [lab.binding(8080, 80), lab.binding(7000, 7000, host_port_end=7010, port_end=7010)])
    lab.serve(web, 80)
    before = set(lab.elements())
    lab.repair([(n1, [web.endpoint])])
    assert not lab.on_host(lab.driver.needs_repair)
    lab.host.sh("nft flush ruleset")
    assert lab.on_host(lab.driver.needs_repair)
    n2 = lab.network("n2", "172.31.0.0/16")
    assert lab.silent(peer, HOST, 8080)
    assert lab.on_host(lab.driver.needs_repair), "what that command began anew is not whole"
    lab.repair([(n1, [web.endpoint]), (n2, [])])
    assert not lab.on_host(lab.driver.needs_repair)
    assert lab.ask(peer, HOST, 8080) == "192.168.99.99"
    assert before - {e for e in before if e.set == "forwarding"} <= set(lab.elements())


def test_a_table_of_another_version_is_written_anew(lab, monkeypatch):
    n1 = lab.network("n1", "172.30.0.0/16")
    with monkeypatch.context() as earlier:
        earlier.setattr(table, "COMPLETE", "whole, as of ruleset_0")
        lab.on_host(lambda: table.record_state(table.COMPLETE))
        assert not lab.on_host(lab.driver.needs_repair)
    assert lab.on_host(lab.driver.needs_repair)
    lab.repair([(n1, [])])
    assert not lab.on_host(lab.driver.needs_repair)


def test_a_repair_removes_unowned_elements_and_restores_lost_rules(lab):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    web = lab.container(n1, 2, [lab.binding(8080, 80), lab.binding(8081, 81, host_ip="::")])
    lab.repair([(n1, [web.endpoint])])
    whole, elements = lab.host.sh("nft list table inet hawse"), lab.elements()
    lab.host.sh("nft add element inet hawse any4 '{ tcp . 99 : 172.30.0.9 . 9 }'")
    lab.host.sh("nft delete element inet hawse any4 '{ tcp . 8080 }'")
    lab.host.sh("nft flush chain inet hawse forward")
    lab.repair([(n1, [web.endpoint])])
    assert sorted(lab.elements()) == sorted(elements)
    assert sorted(lab.host.sh("nft list table inet hawse").split()) == sorted(whole.split())


def test_repair_keeps_elements_that_other_commands_are_changing(lab):
    n1, n2 = lab.network("n1", "172.30.0.0/16"), lab.network("n2", "172.31.0.0/16")
    web = lab.container(n1, 2, [lab.binding(8080, 80)])
    elements = lab.elements()
    lab.repair([(n1, [])], unsettled=[(n1, [web.endpoint]), (n2, [])])
    assert sorted(lab.elements()) == sorted(elements)
    lab.on_host(lambda: lab.driver.delete_network(n2))
    lab.repair([(n1, [web.endpoint])], unsettled=[(n2, [])])
    assert not [e for e in lab.elements() if "172.31." in e.key]


def test_the_host_still_accepts_router_advertisements_while_hawse_has_enabled_forwarding(lab):
    lab.host.sh(
        "sysctl -qw net.ipv6.conf.ext0.accept_ra=1 net.ipv6.conf.all.forwarding=0 net.ipv6.conf.ext0.forwarding=0"
    )
    read = "sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.ext0.accept_ra"
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    assert lab.host.sh(read).split() == ["1", "1", "2"]
    lab.on_host(lambda: lab.driver.delete_network(n1))
    lab.on_host(firewall.teardown)
    assert lab.host.sh(read).split() == ["0", "0", "1"]


def test_forwarding_the_administrator_switched_on_stays_on(lab):
    lab.host.sh("sysctl -qw net.ipv4.ip_forward=1")
    n1 = lab.network("n1", "172.30.0.0/16")
    lab.on_host(lambda: lab.driver.delete_network(n1))
    lab.on_host(firewall.teardown)
    assert lab.host.sh("sysctl -n net.ipv4.ip_forward").strip() == "1"


def test_an_internal_network_switches_nothing_on(lab):
    lab.network("n1", "172.30.0.0/16", internal=True)
    assert lab.host.sh("sysctl -n net.ipv4.ip_forward").strip() == "0"


def test_a_full_bridge_says_so(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    name = f"br-{n1.id[:12]}"

    def fill() -> None:
        with Session() as opened:
            bridge = link.index(name)
            for number in range(1023):
                link.add(opened, f"p{number}", "veth", master=bridge)

    lab.on_host(fill)
    with pytest.raises(Busy, match=f"^bridge full: {re.escape(name)} has 1023 ports"):
        lab.container(n1, 2)


def test_default_routes_are_replaced_by_those_requested(lab):
    n1, n2 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64"), lab.network("n2", "172.31.0.0/16")
    c1 = lab.container(n1, 2)
    lab.join(c1, n2, 2)
    assert c1.run("ip", "route", "show", "default") == "default via 172.31.0.1 dev eth1 \n"
    ways = [DefaultRoute(pool.gateway.version, "eth0", pool.gateway.ip) for pool in n1.pools]
    for _ in range(2):
        sandboxes.set_default_routes(c1.sandbox, ways, c1.ways)
    assert c1.run("ip", "route", "show", "default") == "default via 172.30.0.1 dev eth0 \n"
    assert c1.run("ip", "-6", "route", "show", "default").startswith("default via fd00:30::1 dev eth0 metric 1024")
    for _ in range(2):
        sandboxes.set_default_routes(c1.sandbox, [], c1.ways)
    assert c1.run("ip", "route", "show", "default") == c1.run("ip", "-6", "route", "show", "default") == ""


def test_a_default_route_without_next_hop_leads_through_the_link(lab):
    c1 = lab.container(lab.network("n1", "172.30.0.0/16", "fd00:30::/64", gateways=False), 2)
    ways = [DefaultRoute(version, "eth0") for version in (4, 6)]
    for _ in range(2):
        sandboxes.set_default_routes(c1.sandbox, ways, ways)
    assert c1.run("ip", "route", "show", "default") == "default dev eth0 scope link \n"
    assert c1.run("ip", "-6", "route", "show", "default").startswith("default dev eth0 metric 1024")
    sandboxes.set_default_routes(c1.sandbox, [], ways)
    assert c1.run("ip", "route", "show", "default") == c1.run("ip", "-6", "route", "show", "default") == ""


def test_routes_of_others_are_neither_replaced_nor_removed(lab):
    """The user's routes stay.

    Some of these routes have several next hops. Others differ from hawse's routes in protocol or gateway.
    """
    c1 = lab.container(lab.network("n1", "172.30.0.0/16", "fd00:30::/64"), 2)
    c1.run("sh", "-c", "ip route flush default; ip -6 route flush default")
    for other in (
        "route add default metric 5 nexthop via 172.30.0.1 dev eth0 nexthop via 172.30.0.9 dev eth0",
        "route add default via 172.30.0.9 dev eth0 metric 6",
        "route add default via 172.30.0.1 dev eth0 proto static metric 7",
        "-6 route add default via fd00:30::1 dev eth0 proto static metric 8",
    ):
        c1.run("sh", "-c", f"ip {other}")
    before = c1.run("sh", "-c", "ip route; ip -6 route")
    for takes_over in (False, True):
        sandboxes.set_default_routes(c1.sandbox, [replace(w, takes_over=takes_over) for w in c1.ways], c1.ways)
        after = c1.run("sh", "-c", "ip route; ip -6 route").splitlines()
        assert [line for line in after if line in before.splitlines()] == before.splitlines()
        assert len(after) > len(before.splitlines())
        sandboxes.set_default_routes(c1.sandbox, [], c1.ways)
        assert c1.run("sh", "-c", "ip route; ip -6 route") == before


def test_a_conflict_is_reported_and_left_unchanged(lab):
    """The driver reports a conflict, such as a default route that a VPN has replaced, and changes nothing."""
    c1 = lab.container(lab.network("n1", "172.30.0.0/16"), 2)
    c1.run("sh", "-c", "ip route replace default via 172.30.0.9; ip route add 128.0.0.0/1 via 172.30.0.9")
    with pytest.raises(KernelError, match=r"^set route to 128.0.0.0/1 via 172.30.0.1: file exists$"):
        sandboxes.set_default_routes(c1.sandbox, [replace(w, takes_over=True) for w in c1.ways], c1.ways)
    sandboxes.set_default_routes(c1.sandbox, [], c1.ways)
    routes = c1.run("ip", "-o", "route")
    assert [line.split(" dev")[0] for line in routes.splitlines() if "via" in line] == [
        "default via 172.30.0.9",
        "128.0.0.0/1 via 172.30.0.9",
    ]


def test_a_replaced_namespace_is_not_entered(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    container = lab.sandbox()
    stale = replace(container.sandbox, inode=os.stat(container.path).st_ino + 1)
    gone = f"^network namespace {container.path} is gone: another one is there now$"
    for action in (
        lambda: lab.driver.join(n1, lab.endpoint(n1, 2), stale, "eth0"),
        lambda: sandboxes.set_default_routes(stale, [], []),
        lambda: sandboxes.free_name(stale, "eth", 0),
    ):
        with pytest.raises(Missing, match=gone):
            lab.on_host(action)
    assert "veth" not in lab.host.sh("ip -br link")
    known = replace(stale, inode=os.stat(container.path).st_ino)
    assert lab.on_host(lambda: sandboxes.free_name(known, "lo", 0)) == "lo0"


def test_a_sandbox_interface_can_be_renamed(lab):
    c1 = lab.container(lab.network("n1", "172.30.0.0/16"), 2)
    assert [interface.name for interface in sandboxes.inside(c1.sandbox, link.all_links)] == ["lo", "eth0"]
    sandboxes.inside(c1.sandbox, lambda opened: sandboxes.rename(opened, "eth0", "lan"))
    assert [interface.name for interface in sandboxes.inside(c1.sandbox, link.all_links)] == ["lo", "lan"]
    assert "172.30.0.2" in c1.run("ip", "addr", "show", "lan")


def test_sysctls_are_set_only_in_the_sandbox(lab):
    c1 = lab.sandbox()
    values = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/log_martians": "1"}
    sandboxes.inside(c1.sandbox, lambda _: sandboxes.set_sysctls(values))
    assert c1.run("sysctl", "-n", "net.ipv4.ip_forward", "net.ipv4.conf.lo.log_martians") == "1\n1\n"
    assert lab.host.sh("sysctl -n net.ipv4.ip_forward").strip() == "0"
