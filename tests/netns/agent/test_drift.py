"""Another program damages the links of hawse's networks, on the host or inside a container.

The agent repairs the damage without a hawse command, and traffic continues.
"""

from __future__ import annotations

import re
import statistics

import pytest

from tests.conftest import loaded
from tests.netns.agent.conftest import BOUND

pytestmark = pytest.mark.netns

ON_HOST = {
    "the bridge is deleted": "ip link delete %(bridge)s",
    "the bridge is down": "ip link set %(bridge)s down",
    "the bridge's addresses are removed": "ip addr flush dev %(bridge)s",
    "the bridge's IPv6 address is removed": "ip -6 addr flush dev %(bridge)s",
    "a veth is deleted": "ip link delete %(veth)s",
    "a veth is down": "ip link set %(veth)s down",
    "a veth is out of the bridge": "ip link set %(veth)s nomaster",
    "a veth is in another bridge": "ip link add br9 type bridge; ip link set %(veth)s master br9",
    "the bridge is renamed": "ip link set %(bridge)s down; ip link set %(bridge)s name br8; ip link set br8 up || :",
    "a veth is renamed": "ip link set %(veth)s name veth8",
    "the bridge has ARP off": "ip link set %(bridge)s arp off; ip neigh flush dev %(bridge)s",
    "the bridge has another MAC": "ip link set %(bridge)s address 02:42:aa:bb:cc:dd",
    "the bridge is too small for IPv6": "ip link set %(bridge)s mtu 1000",
    "the bridge's forwarding entries are flushed": "bridge fdb flush dev %(bridge)s",
    "a port is disabled": "bridge link set dev %(veth)s state 0",
    "a port is locked": "bridge link set dev %(veth)s locked on learning off; bridge fdb flush dev %(bridge)s",
    "a port floods nothing": "bridge link set dev %(veth)s learning off flood off bcast_flood off mcast_flood off; "
    "bridge fdb flush dev %(bridge)s",
    "forwarding is off": "sysctl -qw net.ipv4.ip_forward=0",
    "the bridge does not forward": "sysctl -qw net.ipv4.conf.%(bridge)s.forwarding=0",
    "IPv6 is off on the bridge": "sysctl -qw net.ipv6.conf.%(bridge)s.disable_ipv6=1",
    "route_localnet is off": "sysctl -qw net.ipv4.conf.%(bridge)s.route_localnet=0",
    "the routes to the bridge are removed": "ip route delete 172.31.0.0/16; ip -6 route delete fd31::/64",
    "everything at once": "ip link delete %(bridge)s; ip link delete %(veth)s; nft flush ruleset",
}
INSIDE = {
    "the interface is deleted": "ip link delete eth0",
    "the interface is down": "ip link set eth0 down",
    "the interface has ARP off": "ip link set eth0 arp off; ip neigh flush dev eth0",
    "the interface has another MAC": "ip link set eth0 address 02:42:aa:bb:cc:dd",
    "the interface is too small for IPv6": "ip link set eth0 mtu 1000",
    "the interface is renamed": "ip link set eth0 down; ip link set eth0 name lan0; ip link set lan0 up",
    "the addresses are removed": "ip addr flush dev eth0",
    "the default route is removed": "ip route delete default",
    "the routes to the subnets are removed": "ip route delete 172.31.0.0/16; ip -6 route delete fd31::/64",
    "IPv6 is off": "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1",
    "the loopback link is down": "ip link set lo down",
    "all of nftables is flushed": "nft flush ruleset",
    "the resolver's table is deleted": "nft delete table ip hawse_resolver",
    "the resolver's rules are flushed": "nft flush table ip hawse_resolver",
    "the resolver's table is dormant": "nft 'table ip hawse_resolver { flags dormant; }'",
    "a rule of the resolver drops": "nft -a list chain ip hawse_resolver asks | sed -n 's/.* udp .*# handle //p' | "
    "xargs -I{} nft replace rule ip hawse_resolver asks handle {} drop",
}
TOOK: dict[str, float] = {}


@pytest.mark.parametrize("fault", ON_HOST.values(), ids=ON_HOST)
def test_damage_on_the_host_is_repaired_without_any_command(world, traffic, fault, request):
    log = world.log()
    world.host.sh(fault % world.links)
    TOOK[request.node.callspec.id] = took = traffic.resumed()
    assert took < loaded(BOUND)
    assert re.search(r"repaired in \d+ ms", world.logged(log))
    world.host.sh("ip link delete br9", check=False)


@pytest.mark.parametrize("fault", INSIDE.values(), ids=INSIDE)
def test_damage_inside_a_container_is_repaired_without_any_command(world, traffic, fault, request):
    log = world.log()
    world.inside(world.paths_of["web"], fault)
    TOOK[request.node.callspec.id] = took = traffic.resumed()
    assert took < loaded(BOUND)
    assert re.search(r"container web: .*repaired in \d+ ms", world.logged(log))


def test_repairs_take_a_tenth_of_a_second(world, capsys):
    with capsys.disabled():
        for name, took in TOOK.items():
            print(f"\n  {took * 1000:6.0f} ms  {name}", end="")
        print(f"\n  {statistics.median(TOOK.values()) * 1000:6.0f} ms  median", end=" ")
    assert statistics.median(TOOK.values()) < 1.0
