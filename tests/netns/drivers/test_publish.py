"""The tests check which clients reach published ports of bridge networks, and which client address the server sees."""

from __future__ import annotations

import socket

import pytest
from msgspec.structs import replace

from drivers.linux import socket_filter
from drivers.port_ranges import around
from tests.conftest import until
from tests.netns.drivers.conftest import a_socket

pytestmark = pytest.mark.netns

HOST, HOST6 = "192.168.99.11", "fd99::11"
SUBNETS = ("172.30.0.0/16", "fd00:30::/64")


def both_families(lab, host_port, port, protocol="tcp"):
    return [lab.binding(host_port, port, protocol), lab.binding(host_port, port, protocol, "::")]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_everybody_reaches_a_published_port_and_the_server_sees_who_it_is(lab, peer, protocol):
    n1, n2 = lab.network("n1", *SUBNETS), lab.network("n2", "172.31.0.0/16", "fd00:31::/64")
    web = lab.container(n1, 2, both_families(lab, 8080, 80, protocol))
    neighbour, stranger = lab.container(n1, 3), lab.container(n2, 2)
    lab.serve(web, 80, protocol)
    lab.serve(web, 80, protocol, "fd00:30::2")
    expected = {
        # The server sees the true address of clients outside the host, and of clients that use the host's own address.
        (peer, HOST): "192.168.99.99",
        (peer, HOST6): "fd99::99",
        (lab.host, HOST): HOST,
        (lab.host, HOST6): HOST6,
        # For clients on another network, the server sees the true client address.
        (stranger, HOST): "172.31.0.2",
        (stranger, HOST6): "fd00:31::2",
        # Here the server sees the network's gateway, because its answer to the true address would bypass the host.
        (lab.host, "127.0.0.1"): "172.30.0.1",
        (lab.host, "127.0.0.5"): "172.30.0.1",
        (neighbour, HOST): "172.30.0.1",
        (neighbour, HOST6): "fd00:30::1",
        (web, HOST): "172.30.0.1",
        (web, HOST6): "fd00:30::1",
        (web, "172.30.0.1"): "172.30.0.1",
    }
    seen = {(client, address): lab.ask(client, address, 8080, protocol) for client, address in expected}
    assert {(getattr(k[0], "name", "container"), k[1]): v for k, v in seen.items()} == {
        (getattr(k[0], "name", "container"), k[1]): v for k, v in expected.items()
    }
    assert lab.silent(peer, HOST, 8081, protocol)


def test_the_first_ipv6_client_of_a_new_network_is_answered_at_once(lab, peer):
    lab.host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=1")  # the kernel's default
    n1 = lab.network("n1", *SUBNETS)
    web = lab.container(n1, 2, both_families(lab, 8080, 80))
    lab.serve(web, 80, address="fd00:30::2")
    lab.await_carriers()
    assert lab.ask(peer, HOST6, 8080, wait=0.8) == "fd99::99"


def test_a_port_published_on_one_address_answers_there_only(lab, peer):
    n1 = lab.network("n1", *SUBNETS)
    web = lab.container(n1, 2, [lab.binding(8080, 80, host_ip=HOST), lab.binding(8081, 80, host_ip=HOST6)])
    lab.serve(web, 80)
    lab.serve(web, 80, address="fd00:30::2")
    assert lab.ask(peer, HOST, 8080) == "192.168.99.99"
    assert lab.ask(peer, HOST6, 8081) == "fd99::99"
    assert lab.silent(lab.host, "127.0.0.1", 8080)
    assert lab.silent(lab.host, "172.30.0.1", 8080)


def test_a_port_published_on_loopback_is_reached_only_by_the_host(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    ports = [lab.binding(8080, 80, host_ip="127.0.0.1"), lab.binding(8080, 80, "udp", "127.0.0.1")]
    web = lab.container(n1, 2, ports)
    lab.serve(web, 80)
    server = lab.serve(web, 80, "udp")
    assert lab.hears(server, lab.host, "127.0.0.1", 8080, wait=5)
    assert lab.ask(lab.host, "127.0.0.1", 8080) == "172.30.0.1"
    assert lab.silent(peer, HOST, 8080)
    # The neighbour (another machine) now routes the container's subnet and the loopback addresses to the host. The
    # neighbour must get no answer.
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}")
    assert lab.silent(peer, "172.30.0.2", 80)
    peer.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.br0.route_localnet=1")
    peer.sh("ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local")
    peer.sh(f"ip route add 127.0.0.0/8 via {HOST} src 192.168.99.99")
    assert lab.silent(peer, "127.0.0.1", 8080)
    assert not lab.hears(server, peer, "127.0.0.1", 8080)


def test_a_container_gets_no_loopback_service_of_the_host(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    thief = lab.container(n1, 2, [lab.binding(8080, 80)])  # publishing this port switches the sysctl route_localnet on
    private = lab.serve(lab.host, 9000, "udp", "127.0.0.1")
    lab.serve(lab.host, 9001, "udp", "0.0.0.0")
    assert lab.ask(thief, "172.30.0.1", 9001, "udp") == "172.30.0.2"
    thief.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.eth0.route_localnet=1")
    for route in ("127.0.0.0/8", "127.0.0.1"):
        thief.run("ip", "route", "del", "local", route, "dev", "lo", "table", "local")
    thief.run("ip", "route", "add", "127.0.0.0/8", "via", "172.30.0.1", "src", "172.30.0.2")
    assert not lab.hears(private, thief, "127.0.0.1", 9000)
    lab.host.sh("nft flush chain inet hawse loopback_guard")
    assert lab.hears(private, thief, "127.0.0.1", 9000), "it is the rule that keeps it out"


def test_neighbours_that_route_to_a_network_reach_published_container_ports_only(lab, peer):
    n1 = lab.network("n1", *SUBNETS)
    web, hidden = lab.container(n1, 2, both_families(lab, 8080, 80)), lab.container(n1, 3)
    for container, v6 in ((web, "fd00:30::2"), (hidden, "fd00:30::3")):
        lab.serve(container, 80)
        lab.serve(container, 80, address=v6)
        lab.serve(container, 81)
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add fd00:30::/64 via {HOST6}")
    assert lab.ask(peer, "172.30.0.2", 80) == "192.168.99.99"
    assert lab.ask(peer, "fd00:30::2", 80) == "fd99::99"
    for address, port in (("172.30.0.2", 81), ("172.30.0.3", 80), ("fd00:30::3", 80)):
        assert lab.silent(peer, address, port)
    assert not lab.pings(peer, "172.30.0.3", wait=0.2)
    assert not lab.pings(peer, "fd00:30::3", wait=0.2)
    assert lab.ask(lab.host, "172.30.0.3", 81) == "172.30.0.1"


def test_a_range_is_one_element_and_keeps_its_port_numbers(lab, peer):
    n1 = lab.network("n1", *SUBNETS)
    ranges = [
        lab.binding(7000, 7000, host_port_end=7999, port_end=7999),
        lab.binding(7000, 7000, host_ip="::", host_port_end=7999, port_end=7999),
        lab.binding(6000, 6000, host_ip="127.0.0.1", host_port_end=6099, port_end=6099),
    ]
    web = lab.container(n1, 2, ranges)
    for port in (7000, 7500, 7999):
        lab.serve(web, port)
        lab.serve(web, port, address="fd00:30::2")
        assert lab.ask(peer, HOST, port) == "192.168.99.99"
        assert lab.ask(peer, HOST6, port) == "fd99::99"
    lab.serve(web, 6050)
    assert lab.ask(lab.host, "127.0.0.1", 6050) == "172.30.0.1"
    assert lab.silent(peer, HOST, 6050)
    assert len(lab.elements("range4")) == 2
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add fd00:30::/64 via {HOST6}")
    assert lab.ask(peer, "172.30.0.2", 7500) == "192.168.99.99"
    assert lab.ask(peer, "fd00:30::2", 7500) == "fd99::99"


def test_ranges_with_common_container_ports_are_published_and_unpublished(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    first, second = (lab.binding(at, 8000, host_port_end=at + 9, port_end=8009) for at in (8000, 9000))
    third = lab.binding(9105, 8005, host_port_end=9114, port_end=8014)
    web = lab.container(n1, 2, [first, second])
    for port in (8003, 8012):
        lab.serve(web, port)
    lab.on_host(lambda: lab.driver.publish(n1, web.endpoint, [third]))
    assert [e.key for e in lab.elements("open_range4")] == ["172.30.0.2 . tcp . 8000-8014"]
    assert lab.ask(peer, HOST, 9112) == "192.168.99.99"
    endpoint = replace(web.endpoint, ports=(first, second, third))
    lab.on_host(lambda: lab.driver.unpublish(n1, endpoint, [lab.binding(9003, 8003)]))
    assert lab.silent(peer, HOST, 9003)
    assert lab.ask(peer, HOST, 8003) == "192.168.99.99"
    endpoint = replace(endpoint, ports=(first, *around(second, 8003, 8003), third))
    lab.on_host(lambda: lab.driver.unpublish(n1, endpoint, [third]))
    assert [e.key for e in lab.elements("open_range4")] == ["172.30.0.2 . tcp . 8000-8009"]
    lab.on_host(lambda: lab.driver.unpublish(n1, endpoint, [third, *endpoint.ports]))
    assert lab.elements("open_range4") == []


def test_a_shifted_range_maps_port_by_port(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    web = lab.container(n1, 2, [lab.binding(8000, 80, host_port_end=8002, port_end=82)])
    for offset in range(3):
        lab.serve(web, 80 + offset)
        assert lab.ask(peer, HOST, 8000 + offset) == "192.168.99.99"
    assert lab.silent(peer, HOST, 8003)


def test_unpublishing_twice_closes_the_port_and_ends_its_udp_flow(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    old = lab.container(n1, 2, [lab.binding(5000, 50, "udp"), lab.binding(5001, 50, "udp")])
    new = lab.container(n1, 3)
    for container in (old, new):
        lab.serve(container, 50, "udp")
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}")
    assert lab.ask(peer, HOST, 5000, "udp") == "192.168.99.99"
    network, endpoint = old.endpoints[0]
    for _ in range(2):
        lab.on_host(lambda: lab.driver.unpublish(network, endpoint, endpoint.ports[:1]))
    assert lab.silent(peer, HOST, 5000, "udp")
    assert lab.ask(peer, HOST, 5001, "udp") == "192.168.99.99"
    assert lab.ask(peer, "172.30.0.2", 50, "udp") == "192.168.99.99", (
        "the other binding still opens the container's port"
    )
    _, endpoint = new.endpoints[0]
    lab.on_host(lambda: lab.driver.publish(network, endpoint, [lab.binding(5000, 50, "udp")]))
    assert lab.ask(peer, HOST, 5000, "udp") == "192.168.99.99"


@pytest.mark.parametrize("mode", ["nat", "routed"])
def test_unpublishing_ends_the_flows_that_neighbours_route_to_the_container(lab, peer, mode):
    options = {f"com.docker.network.bridge.gateway_mode_ipv{version}": mode for version in (4, 6)}
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options=options)
    host_port = 0 if mode == "routed" else 5000
    web = lab.container(n1, 2, [lab.binding(host_port, 50, "udp", host_ip=ip) for ip in ("0.0.0.0", "::")])
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add fd00:30::/64 via {HOST6}")
    for address in ("172.30.0.2", "fd00:30::2"):
        server = lab.serve(web, 50, "udp", address=address)
        with lab.client(peer, address, 50, "udp") as client:
            client.send(b"?")
            assert client.recv(100)
            lab.on_host(lambda: lab.driver.unpublish(n1, web.endpoint, web.endpoint.ports))
            server.heard.clear()
            client.send(b"?")
            assert not server.heard.wait(0.3)
        lab.on_host(lambda: lab.driver.publish(n1, web.endpoint, web.endpoint.ports))


def test_a_udp_client_that_keeps_its_socket_follows_a_port_to_its_new_container(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    published = [lab.binding(5000, 50, "udp")]
    old, new = lab.container(n1, 2, published), lab.container(n1, 3)
    lab.serve(old, 50, "udp")
    with lab.client(peer, HOST, 5000, "udp") as client:
        client.send(b"?")
        assert client.recv(100) == b"192.168.99.99"
        lab.on_host(lambda: lab.driver.unpublish(n1, old.endpoint, published))
        lab.serve(new, 50, "udp")
        lab.on_host(lambda: lab.driver.publish(n1, new.endpoint, published))
        lab.servers[0].close()
        client.send(b"?")
        assert client.recv(100) == b"192.168.99.99"


def test_a_udp_flow_that_began_before_publishing_is_led_to_the_container(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    web = lab.container(n1, 2)
    lab.serve(web, 50, "udp")
    with lab.client(peer, HOST, 5000, "udp") as client:
        client.send(b"?")  # the host refuses this packet; conntrack keeps the flow's entry
        lab.on_host(lambda: lab.driver.publish(n1, web.endpoint, [lab.binding(5000, 50, "udp")]))
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)
        client.send(b"?")
        assert client.recv(100) == b"192.168.99.99"


def test_a_tcp_client_that_connects_before_publishing_reaches_the_container(lab, peer):
    """The agent's socket at the held port drops the client's first SYN."""
    n1 = lab.network("n1", "172.30.0.0/16")
    web = lab.container(n1, 2)
    lab.serve(web, 80)
    with a_socket(lab.host.path, socket.AF_INET, "tcp") as held, a_socket(peer.path, socket.AF_INET, "tcp") as client:
        socket_filter.attach(held, [socket_filter.DROP])
        held.bind((HOST, 8080))
        held.listen()
        client.setblocking(False)
        client.connect_ex((HOST, 8080))
        until(lambda: "dport=8080" in lab.host.sh("conntrack -L 2>/dev/null"))
        lab.on_host(lambda: lab.driver.publish(n1, web.endpoint, [lab.binding(8080, 80)]))
        client.settimeout(5)
        assert client.recv(100) == b"192.168.99.99"


def test_a_port_that_a_vanished_container_still_held_is_taken_over(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    lab.container(n1, 2, [lab.binding(8080, 80), lab.binding(7000, 7000, host_port_end=7009, port_end=7009)])
    web = lab.container(n1, 3, [lab.binding(8080, 80), lab.binding(7000, 7000, host_port_end=7009, port_end=7009)])
    for port in (80, 7005):
        lab.serve(web, port)
    assert lab.ask(peer, HOST, 8080) == lab.ask(peer, HOST, 7005) == "192.168.99.99"
