"""Overlay networks between hosts on one virtual wire.

No agent runs; the tests themselves program the peers (endpoints on other hosts) into the kernel.
"""

from __future__ import annotations

import re
import subprocess

import pytest
from msgspec.structs import replace

from drivers.errors import Exists, KernelError, Missing
from drivers.linux import names
from drivers.model import Sandbox

pytestmark = pytest.mark.netns

PLAIN = ("10.0.1.0/24",)
DUAL = ("10.0.1.0/24", "fd00:1::/64")


@pytest.mark.parametrize("underlay", [4, 6])
def test_containers_of_three_hosts_reach_each_other_over_ipv4_and_ipv6(cluster, underlay):
    o1 = cluster.network("o1", *DUAL, hosts=3, underlay=underlay)
    containers = [o1.container(number) for number in range(3)]
    mtu = 1450 if underlay == 4 else 1430
    for here in containers:
        assert f"mtu {mtu}" in here.sh("ip link show eth0")
        for there in containers:
            assert here.pings(there.ipv4, size=mtu - 28)
            assert here.pings(there.ipv6, size=mtu - 48)
    assert not containers[0].pings(containers[1].ipv4, size=mtu - 27, wait=0.3)


def test_several_subnets_of_one_network_are_neighbours(cluster):
    o1 = cluster.network("o1", "10.0.1.0/24", "10.0.2.0/24")
    first, second = o1.container(0, pool=0), o1.container(1, pool=1)
    near = o1.container(0, pool=1)
    for here, there in ((first, second), (second, first), (first, near), (near, second)):
        assert here.pings(there.ipv4)


def test_a_sandbox_keeps_a_route_of_its_own_to_another_subnet(cluster):
    o1 = cluster.network("o1", "10.0.1.0/24", "10.0.2.0/24", hosts=1)
    name = cluster.namespace()
    run = ["ip", "netns", "exec", name]
    subprocess.run(
        [*run, "sh", "-ec", "ip link add own type bridge; ip link set own up; ip route add 10.0.2.0/24 dev own"]
    )
    endpoint = o1.endpoint(pool=0)
    with pytest.raises(KernelError, match=r"^set route to 10.0.2.0/24: file exists"):
        o1.members[0].act("join", endpoint, Sandbox(name, f"/run/netns/{name}"), "eth0")
    left = subprocess.run([*run, "ip", "-o", "route"], capture_output=True, text=True, check=True).stdout
    assert left.startswith("10.0.2.0/24 dev own scope link") and left.count("\n") == 1


def test_the_gateway_addresses_answer_on_every_host(cluster):
    o1 = cluster.network("o1", *DUAL)
    for number in range(2):
        container = o1.container(number)
        assert container.pings("10.0.1.1")
        assert container.pings("fd00:1::1")


def test_multicast_and_broadcast_reach_every_host_once(cluster):
    o1 = cluster.network("o1", "10.0.1.0/24", "10.0.2.0/24", hosts=3)
    sender, *others = [o1.container(number) for number in range(3)]
    others.append(o1.container(0))
    for group in ("239.1.2.3", "255.255.255.255"):
        assert [sender.sends_to_all(group, others)] == [[1, 1, 1]]


def test_the_kernel_does_not_learn_macs_from_frames(cluster):
    o1 = cluster.network("o1", *PLAIN)
    victim, attacker, client = o1.container(0), o1.container(1), o1.container(0)
    before = o1.members[0].inside("bridge fdb")
    attacker.sh(f"ip link set eth0 address {victim.mac}")
    attacker.sh("ping -c1 -W0.2 10.0.1.1 || true")
    assert o1.members[0].inside("bridge fdb") == before
    assert client.pings(victim.ipv4)


def test_arp_is_answered_in_the_peers_place(cluster):
    o1 = cluster.network("o1", *DUAL)
    here, there = o1.container(0), o1.container(1)
    there.sh("ip link set eth0 down")
    here.sh(f"ping -c1 -W0.1 {there.ipv4}; ping -c1 -W0.1 {there.ipv6}; true")
    assert re.search(rf"{there.ipv4} .*{there.mac}", here.sh("ip neigh"))
    assert re.search(rf"{there.ipv6} .*{there.mac}", here.sh("ip neigh"))


def test_a_sandbox_learns_the_new_mac_of_an_address_at_once(cluster):
    o1 = cluster.network("o1", "10.1.0.0/24", "fd01::/64")
    here, there = (o1.container(host) for host in (0, 1))
    assert here.pings(there.ipv4) and here.pings(there.ipv6)
    member, moved = o1.members[0], replace(o1.peer(there), mac="02:00:00:00:00:99")
    member.act("program_peers", [])
    member.act("program_peers", [moved])
    for address in (there.ipv4, there.ipv6):
        assert re.search(rf"{address} .*{moved.mac}", here.sh("ip neigh"))


def test_an_mtu_option_counts_the_overhead_and_an_unknown_underlay_is_refused(cluster):
    o1 = cluster.network("o1", *PLAIN, options={"com.docker.network.driver.mtu": "1400"})
    assert "mtu 1350" in o1.container(0).sh("ip link show eth0")
    with pytest.raises(Missing, match=r"^no interface of this host has the underlay address 192\.0\.2\.1$"):
        cluster.network("o2", *PLAIN, options={"com.hawse.overlay.vtep": "192.0.2.1"})


def test_an_internal_network_has_no_way_out(cluster):
    o1 = cluster.network("o1", *PLAIN, internal=True)
    here, there = o1.container(0), o1.container(1)
    assert here.pings(there.ipv4)
    assert here.sh("ip route") == "10.0.1.0/24 dev eth0 proto kernel scope link src 10.0.1.2 \n"


def test_verify_finds_and_mends_what_differs(cluster):
    o1 = cluster.network("o1", *DUAL)
    here, there = o1.container(0), o1.container(1)
    member = o1.members[0]
    assert member.verify() == []
    member.inside(
        f"bridge fdb replace {there.mac} dev vxlan0 dst 192.168.99.77 self permanent;"
        "bridge fdb add 02:00:00:00:00:07 dev vxlan0 dst 192.168.99.12 self permanent;"
        f"ip neigh del {there.ipv4} dev vxlan0; bridge fdb del {there.mac} dev vxlan0 master"
    )
    assert not here.pings(there.ipv4, wait=0.3)
    differences = [
        f"missing: vxlan0: frames for {there.mac} go to 192.168.99.12",
        f"missing: vxlan0: {there.ipv4} is at {there.mac}",
        f"missing: vxlan0: the bridge sends frames for {there.mac} this way",
        "unexpected: vxlan0: frames for 02:00:00:00:00:07 go to 192.168.99.12",
        f"unexpected: vxlan0: frames for {there.mac} go to 192.168.99.77",
    ]
    assert sorted(member.verify()) == sorted(differences)
    assert sorted(member.verify(fix=True)) == sorted(differences)
    assert member.verify() == []
    assert here.pings(there.ipv4)  # may take a second, because the kernel sends one ARP request a second


def test_verify_mends_lost_devices(cluster):
    o1 = cluster.network("o1", *PLAIN)
    here, there = o1.container(0), o1.container(1)
    o1.members[0].inside("ip link del vxlan0")
    assert o1.members[0].verify() == ["missing: vxlan0"]
    o1.members[0].verify(fix=True)
    assert o1.members[0].verify() == []
    assert here.pings(there.ipv4)


CHANGED_DEVICES = {
    "ip link set vxlan0 mtu 1300": "vxlan0 has the MTU 1300 instead of 1450",
    "ip link set vxlan0 type vxlan learning": "vxlan0 has learning 1",
    "ip link set vxlan0 type vxlan ttl 7": "vxlan0 has ttl 7",
    "bridge link set dev vxlan0 isolated off": "vxlan0 is not isolated",
    "bridge link set dev vxlan0 neigh_suppress on": "vxlan0 has neigh_suppress 1",
    "bridge link set dev vxlan0 state 0": "vxlan0 has state 0",
    "ip link set br0 arp off": "br0 has ARP off",
    "ip link set br0 type bridge stp_state 1": "br0 has stp_state 1",
    "sysctl -qw net.ipv6.conf.vxlan0.disable_ipv6=1": "net.ipv6.conf.vxlan0.disable_ipv6",
    "ip link delete br0; ip link add br0 type veth peer name p0": "br0 is a veth, not a bridge",
    "ip link delete vxlan0; ip link add vxlan0 type vxlan id 9 dstport 8472":
        "vxlan0 has the VXLAN id 9, the local address 0, dstport 8472, learning 1, proxy 0",
}  # fmt: skip
CHANGED_PORTS = {
    "ip link set {port} mtu 1300": "{port} has the MTU 1300 instead of 1450",
    "bridge fdb delete {mac} dev {port} master": "{mac} of {port}",
    "bridge link set dev {port} isolated on": "{port} is isolated",
    "ip link set {port} type bridge_slave proxy_arp on": "{port} has proxy_arp 1",
    "bridge link set dev {port} state 0": "{port} has state 0",
}


def test_verify_mends_changed_devices(cluster):
    o1 = cluster.network("o1", *DUAL)
    here, there = o1.container(0), o1.container(1)
    for damage, difference in CHANGED_DEVICES.items():
        o1.members[0].inside(damage)
        assert f"changed: {difference}" in o1.members[0].verify(), damage
        o1.members[0].verify(fix=True)
        assert o1.members[0].verify() == [], damage
        o1.repair(here)
        assert here.pings(there.ipv4), damage


def test_a_changed_port_of_a_container_is_repaired(cluster):
    o1 = cluster.network("o1", *DUAL)
    here, there = o1.container(0), o1.container(1)
    fields = {"port": names.host_end_names(here.endpoint.id)[0], "mac": here.mac}
    assert o1.differences(here) == []
    for damage, difference in CHANGED_PORTS.items():
        o1.members[0].inside(damage.format(**fields))
        o1.members[0].verify(fix=True)  # because the kernel gives the bridge the smallest MTU of its ports
        assert [each.what for each in o1.differences(here)] == [difference.format(**fields)]
        o1.repair(here)
        assert o1.differences(here) == [], damage
        assert here.pings(there.ipv4), damage


def test_an_interface_follows_a_smaller_underlay_and_keeps_a_smaller_mtu(cluster):
    o1 = cluster.network("o1", *PLAIN)
    here, there = o1.container(0), o1.container(1)
    o1.members[0].host.sh("ip link set ext0 mtu 1400")
    assert o1.members[0].verify(fix=True) == [
        "changed: br0 has the MTU 1450 instead of 1350",
        "changed: vxlan0 has the MTU 1450 instead of 1350",
    ]
    o1.repair(here)
    assert "mtu 1350" in here.sh("ip link show eth0")
    here.sh("ip link set eth0 mtu 1290")
    assert o1.differences(here) == []
    assert here.pings(there.ipv4)


def test_a_removed_peer_is_deleted_and_late_changes_do_no_harm(cluster):
    o1 = cluster.network("o1", *DUAL, hosts=3)
    here, there = o1.container(0), o1.container(1)
    member, peer = o1.members[0], o1.peer(there)
    moved = o1.peer(there, host=2)
    member.add_peer(moved)
    member.remove_peer(peer)
    assert member.verify([moved]) == []
    member.remove_peer(moved)
    member.remove_peer(moved)
    assert member.verify([]) == []
    assert not here.pings(there.ipv4, wait=0.3)


def test_an_unchanged_entry_is_not_written(cluster):
    o1 = cluster.network("o1", *DUAL, hosts=3)
    _, there = o1.container(0), o1.container(1)
    with o1.members[0].monitor() as seen:
        new = o1.container(2)
        o1.members[0].program()
    assert new.mac in seen()
    assert there.mac not in seen()


def test_of_two_peers_with_one_address_the_same_one_is_always_programmed(cluster):
    """A store that lost its last records may give an address twice."""
    o1 = cluster.network("o1", *DUAL, hosts=3)
    peer, member = o1.peer(o1.container(1)), o1.members[0]
    twins = [peer, replace(peer, mac="02:00:00:00:00:99"), o1.peer(o1.container(2))]
    twins[2] = replace(twins[2], mac=peer.mac)
    member.act("program_peers", twins)
    assert member.verify(twins) == member.verify(twins[::-1]) == []


def test_a_second_network_with_the_same_vni_is_refused(cluster):
    cluster.network("o1", *PLAIN)
    with pytest.raises(Exists) as raised:
        cluster.network("o2", "10.0.9.0/24", vni=4097)
    reason = "error creating vxlan interface: file exists"
    assert str(raised.value) == f'subnet sandbox join failed for "10.0.9.0/24": {reason}'
    assert not cluster.members[-1].place.file.exists()


def test_a_thousand_peers_are_programmed_within_three_seconds_and_once(cluster):
    o1 = cluster.network("o1", *("10.1.0.0/16", "fd00:1::/64"), hosts=1)
    peers = [o1.made_up_peer(number) for number in range(1000)]
    assert o1.members[0].timed_program(peers) < 3.0
    with o1.members[0].monitor() as seen:
        o1.members[0].timed_program(peers)
    assert not [p for p in peers if p.mac in seen()]
    assert o1.members[0].verify(peers) == []
