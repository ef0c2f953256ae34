"""The tests check the effects of a bridge network's options on packets and on the kernel's objects."""

from __future__ import annotations

import json
import time
from ipaddress import ip_interface

import pytest

from drivers import sandbox as sandboxes
from drivers.errors import BadOption, InterfaceRefused, UnusableOption
from tests.packets import send_frame

pytestmark = pytest.mark.netns

HOST, HOST6 = "192.168.99.11", "fd99::11"
BRIDGE = "com.docker.network.bridge."


def links(where) -> dict:
    return {link["ifname"]: link for link in json.loads(where.run("ip", "-d", "-j", "addr").stdout)}


def test_a_network_without_masquerade_shows_its_own_addresses(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options={BRIDGE + "enable_ip_masquerade": "false"})
    c1 = lab.container(n1, 2)
    lab.serve(peer, 80)
    lab.serve(peer, 80, address="fd99::99")
    assert lab.silent(c1, "192.168.99.99", 80)
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add fd00:30::/64 via {HOST6}")
    assert lab.ask(c1, "192.168.99.99", 80) == "172.30.0.2"
    assert lab.ask(c1, "fd99::99", 80) == "fd00:30::2"


def test_a_chosen_source_address_is_what_the_outside_sees(lab, peer):
    lab.host.sh("ip addr add 192.168.99.77/24 dev ext0; ip addr add fd99::77/64 dev ext0 nodad preferred_lft 0")
    options = {"com.docker.network.host_ipv4": "192.168.99.77", "com.docker.network.host_ipv6": "fd99::77"}
    c1 = lab.container(lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options=options), 2)
    c2 = lab.container(lab.network("n2", "172.31.0.0/16", "fd00:31::/64"), 2)
    lab.serve(peer, 80)
    lab.serve(peer, 80, address="fd99::99")
    seen = [lab.ask(c, address, 80) for c in (c1, c2) for address in ("192.168.99.99", "fd99::99")]
    assert seen == ["192.168.99.77", "fd99::77", HOST, HOST6]


def test_traffic_of_the_host_to_itself_keeps_its_source(lab):
    lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    lab.serve(lab.host, 80)
    assert lab.ask(lab.host, HOST, 80, source="172.30.0.1") == "172.30.0.1"


def test_routed_mode_opens_published_ports_and_rewrites_nothing(lab, peer):
    options = {BRIDGE + "gateway_mode_ipv4": "routed", BRIDGE + "gateway_mode_ipv6": "routed"}
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options=options)
    web = lab.container(n1, 2, [lab.binding(8080, 80), lab.binding(8080, 80, host_ip="::")])
    for port in (80, 81):
        lab.serve(web, port)
        lab.serve(web, port, address="fd00:30::2")
    lab.serve(peer, 80)
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add fd00:30::/64 via {HOST6}")
    assert lab.ask(peer, "172.30.0.2", 80) == "192.168.99.99"
    assert lab.ask(peer, "fd00:30::2", 80) == "fd99::99"
    assert lab.silent(peer, "172.30.0.2", 81)
    assert lab.silent(peer, "fd00:30::2", 81)
    assert lab.silent(peer, HOST, 8080)
    assert lab.pings(peer, "172.30.0.2")
    assert lab.pings(peer, "fd00:30::2")
    assert lab.ask(web, "192.168.99.99", 80) == "172.30.0.2"


def test_unprotected_mode_opens_all_ports_to_neighbours(lab, peer):
    options = {BRIDGE + "gateway_mode_ipv4": "nat-unprotected"}
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options=options)
    web = lab.container(n1, 2, [lab.binding(8080, 80)])
    for port in (80, 81):
        lab.serve(web, port)
        lab.serve(web, port, address="fd00:30::2")
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add fd00:30::/64 via {HOST6}")
    assert lab.ask(peer, "172.30.0.2", 81) == "192.168.99.99"
    assert lab.ask(peer, HOST, 8080) == "192.168.99.99"
    assert lab.silent(peer, "fd00:30::2", 81)


def test_isolated_mode_leaves_the_bridge_without_address(lab):
    options = {BRIDGE + "gateway_mode_ipv4": "isolated", BRIDGE + "gateway_mode_ipv6": "isolated"}
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options=options, internal=True)
    c1, _ = lab.container(n1, 2), lab.container(n1, 3)
    assert lab.pings(c1, "172.30.0.3")
    assert not lab.pings(c1, "172.30.0.1", wait=0.2)
    assert not lab.pings(lab.host, "172.30.0.2", wait=0.2)
    with pytest.raises(BadOption, match="gateway mode 'isolated' can only be used for an internal network"):
        lab.network("n2", "172.31.0.0/16", options=options)


def test_inhibit_ipv4_leaves_the_bridge_without_ipv4_address(lab):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options={BRIDGE + "inhibit_ipv4": "true"})
    addresses = links(lab.host)[f"br-{n1.id[:12]}"]["addr_info"]
    assert [a["local"] for a in addresses if a["scope"] == "global"] == ["fd00:30::1"]


def test_mtu_and_mac_are_set_at_both_ends(lab):
    n1 = lab.network("n1", "172.30.0.0/16", options={"com.docker.network.driver.mtu": "1400"})
    c1 = lab.container(n1, 2)
    host_end = f"veth{c1.endpoint.id[:7]}"
    assert {links(lab.host)[name]["mtu"] for name in (f"br-{n1.id[:12]}", host_end)} == {1400}
    inside = json.loads(c1.run("ip", "-j", "addr", "show", "eth0"))[0]
    assert (inside["mtu"], inside["address"]) == (1400, c1.endpoint.mac)
    assert inside["addr_info"][0]["broadcast"] == "172.30.255.255"


def test_a_mac_that_no_interface_may_have_is_refused(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    container = lab.sandbox()
    with pytest.raises(InterfaceRefused, match='MAC to "01:00:5e:00:00:01": cannot assign requested address'):
        lab.join(container, n1, 2, mac="01:00:5e:00:00:01")
    assert not any(name.startswith("veth") for name in links(lab.host))


def test_an_endpoint_without_ipv6_has_it_switched_off(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    c1 = lab.container(n1, 2)
    assert "inet6" not in c1.run("ip", "addr", "show", "eth0")
    assert all(
        "inet6" not in str(link["addr_info"]) for name, link in links(lab.host).items() if name[:2] in ("br", "ve")
    )
    assert "LOOPBACK,UP" in c1.run("ip", "link", "show", "lo")


def test_link_local_addresses_and_sysctls_of_an_endpoint(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    options = {sandboxes.SYSCTLS_OPTION: "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.ucast_solicit=5"}
    c1 = lab.container(n1, 2, options=options, link_local=(ip_interface("169.254.34.68/16"),))
    assert "169.254.34.68/16" in c1.run("ip", "addr", "show", "eth0")
    assert c1.run("sysctl", "-n", "net.ipv4.conf.eth0.log_martians", "net.ipv4.neigh.eth0.ucast_solicit") == "1\n5\n"


def test_an_existing_bridge_is_taken_over_and_given_back(lab):
    lab.host.sh("ip link add mybr type bridge; ip addr add 10.7.0.1/24 dev mybr; ip link set mybr up")
    before = lab.host.sh("ip -d addr show mybr; sysctl -n net.ipv4.conf.mybr.route_localnet")
    n1 = lab.network("n1", "172.30.0.0/16", options={BRIDGE + "name": "mybr"})
    c1 = lab.container(n1, 2)
    assert lab.pings(c1, "10.7.0.1")
    assert lab.pings(c1, "172.30.0.1")
    lab.leave(c1)
    for _ in range(2):
        lab.on_host(lambda: lab.driver.delete_network(n1))
    after = lab.host.sh("ip -d addr show mybr; sysctl -n net.ipv4.conf.mybr.route_localnet")
    assert [line.split(" bridge_id")[0] for line in after.splitlines() if "inet" in line] == [
        line for line in before.splitlines() if "inet" in line
    ]
    assert after.splitlines()[-1] == "0"


def test_a_bridge_named_by_the_user_is_made_and_removed(lab):
    n1 = lab.network("n1", "172.30.0.0/16", options={BRIDGE + "name": "mybr"})
    assert "mybr" in links(lab.host)
    lab.on_host(lambda: lab.driver.delete_network(n1))
    assert "mybr" not in links(lab.host)


def test_a_container_cannot_become_the_root_of_the_spanning_tree(lab):
    """The user's bridge runs the spanning tree protocol with the LAN; a better root could block the port to the LAN."""
    lab.host.sh("ip link add mybr type bridge stp_state 1; ip link set mybr up")
    n1 = lab.network("n1", "172.30.0.0/16", options={BRIDGE + "name": "mybr"})
    c1 = lab.container(n1, 2)
    root = "/sys/class/net/mybr/bridge/root_id"
    bridge_group, sender = bytes.fromhex("0180c2000000"), bytes.fromhex(c1.endpoint.mac.replace(":", ""))
    # LLC header, protocol and version, type "configuration", no flags, root (priority 0), cost, bridge, port, 4 times
    hello = bytes.fromhex("424203 0000 00 00 00 0000") + sender + bytes(4) + bytes(2) + sender + bytes.fromhex("8001")
    hello += bytes.fromhex("0000 1400 0200 0f00")
    frame = bridge_group + sender + len(hello).to_bytes(2) + hello

    def claims_root() -> bool:
        send_frame(c1.path, frame)
        time.sleep(0.1)
        return lab.host.sh(f"cat {root}").startswith("0000.")

    assert not claims_root()
    (port,) = (name for name in links(lab.host) if name.startswith("veth"))
    lab.host.sh(f"ip link set {port} nomaster; ip link set {port} master mybr")  # the kernel forgets the port's flags
    assert claims_root(), "the frame is one that the kernel believes"
    differences = lab.on_host(lambda: lab.driver.compare_endpoint(n1, c1.endpoint, c1.sandbox, "eth0"))
    assert any("guard" in str(difference) for difference in differences)
    lab.on_host(lambda: lab.driver.repair_endpoint(n1, c1.endpoint, c1.sandbox, "eth0", differences))
    lab.host.sh("ip link set mybr down; ip link set mybr up")
    assert not claims_root()


def test_an_interface_that_is_no_bridge_is_refused(lab):
    with pytest.raises(UnusableOption, match=r"^existing interface ext0 is not a bridge"):
        lab.network("n1", "172.30.0.0/16", options={BRIDGE + "name": "ext0"})
    assert lab.host.sh("nft list ruleset") == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("averyveryverylongname", "numerical result out of range"),
        ("a/b", "invalid argument"),
        (".", "invalid argument"),
        ("br%d", "invalid argument"),
    ],
)
def test_a_bridge_name_the_kernel_does_not_take_is_refused(lab, name, message):
    with pytest.raises(UnusableOption, match=f"^{message}$"):
        lab.network("n1", "172.30.0.0/16", options={BRIDGE + "name": name})
