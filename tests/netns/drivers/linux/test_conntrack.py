"""hawse removes exactly the chosen conntrack entries, with each method that kernels offer."""

from __future__ import annotations

import re
from ipaddress import ip_address

import pytest

from drivers.errors import KernelError
from drivers.firewall import proxy_redirect
from drivers.linux import conntrack, netlink

pytestmark = pytest.mark.netns

HOST, HOST6, PEER, PEER6 = "192.168.99.11", "fd99::11", "192.168.99.99", "fd99::99"


@pytest.fixture(params=["by filters", "one by one", "one by one of many"])
def deletion(request, monkeypatch):
    """Run the test once with each method that removes conntrack entries.

    The methods are the kernel's own filter (Linux 6.11), and the methods for kernels without this filter.
    """

    def unable(*_):
        return False

    if request.param != "by filters":
        monkeypatch.setattr(conntrack, "_remove_at_once", unable)
    if request.param == "one by one of many":
        monkeypatch.setattr(conntrack, "FEW_FLOWS", 0)


@pytest.fixture
def lists(monkeypatch):
    """Return a list to which each of hawse's requests for a conntrack dump is added."""
    requests, dump = [], netlink.Session.dump

    def noting(session, kind, *arguments):
        if kind == conntrack.GET:
            requests.append(arguments)
        return dump(session, kind, *arguments)

    monkeypatch.setattr(netlink.Session, "dump", noting)
    return requests


def flows(lab):
    return lab.host.sh("conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null")


def test_only_flows_of_published_ports_are_removed(lab, peer, deletion):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    held = [
        lab.binding(8080, 80, "udp"), lab.binding(8081, 80, "udp"), lab.binding(8082, 80, "udp", HOST),
        lab.binding(8080, 80, "udp", "::"), lab.binding(8082, 80, "udp", HOST6),
    ]  # fmt: skip
    c1 = lab.container(n1, 2, held)
    lab.serve(c1, 80, "udp", "0.0.0.0")
    for address, port in ((HOST, 8080), (HOST, 8081), (HOST, 8082)):
        assert lab.ask(peer, address, port, "udp") == PEER
    lab.serve(c1, 80, "udp", "fd00:30::2")
    for port in (8080, 8082):
        assert lab.ask(peer, HOST6, port, "udp") == PEER6
    gone = [lab.binding(8080, 80, "udp"), lab.binding(8082, 80, "udp", "10.0.0.1")]
    lab.on_host(lambda: conntrack.forget_ports(gone))
    assert asked(lab) == {(PEER6, 8080), (PEER, 8081), (PEER, 8082), (PEER6, 8082)}
    lab.on_host(lambda: conntrack.forget_ports(held))
    assert asked(lab) == set()


def asked(lab):
    """Return the (client address, published port) pairs of all entries in the conntrack table."""
    matches = re.findall(r"src=(\S+) dst=\S+ sport=\d+ dport=(808\d) .*src=", flows(lab))
    return {(source, int(port)) for source, port in matches}


def test_flows_to_other_machines_at_a_published_port_number_are_kept(lab, peer, deletion):
    """Of the two networks, only n1 masquerades its containers' packets."""
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    n2 = lab.network(
        "n2", "172.31.0.0/16", "fd00:31::/64", options={"com.docker.network.bridge.enable_ip_masquerade": "false"}
    )
    peer.sh(f"ip route add 172.31.0.0/16 via {HOST}; ip route add fd00:31::/64 via {HOST6}")
    clients = [lab.container(n1, 2), lab.container(n2, 2)]
    for address in (PEER, PEER6):
        lab.serve(peer, 8080, "udp", address)
    for address in (HOST, HOST6, "127.0.0.5"):
        lab.serve(lab.host, 8080, "udp", address)
    outgoing = {(ip, 8080) for ip in ("172.30.0.2", "fd00:30::2", "172.31.0.2", "fd00:31::2")}
    assert all(lab.ask(client, address, 8080, "udp") for client in clients for address in (PEER, PEER6))
    incoming = {(PEER, 8080), (PEER6, 8080), ("127.0.0.1", 8080)}
    assert lab.ask(peer, HOST, 8080, "udp") and lab.ask(peer, HOST6, 8080, "udp")
    assert lab.ask(lab.host, "127.0.0.5", 8080, "udp")
    ports = [lab.binding(8080, 80, "udp", ip) for ip in ("0.0.0.0", "::")]
    lab.on_host(lambda: conntrack.forget_ports(ports))
    assert asked(lab) == outgoing | incoming
    lab.on_host(lambda: conntrack.forget_untranslated(ports))
    assert asked(lab) == outgoing


def test_only_flows_of_an_address_are_removed(lab, peer, deletion):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    first, second = lab.container(n1, 2), lab.container(n1, 3)
    for address in (PEER, PEER6):
        lab.serve(peer, 80, "udp", address)
        for container in (first, second):
            assert lab.ask(container, address, 80, "udp")
    lab.serve(first, 81, "udp", "172.30.0.2")
    assert lab.ask(lab.host, "172.30.0.2", 81, "udp")
    for address in ("172.30.0.2", "fd00:30::2"):
        lab.on_host(lambda: conntrack.forget_addresses([ip_address(address)]))  # noqa: B023
    left = flows(lab)
    assert "172.30.0.2 " not in left and "fd00:30::2 " not in left
    assert "172.30.0.3 " in left and "fd00:30::3 " in left


def test_no_dump_is_requested_if_a_filter_suffices(lab, lists):
    n1 = lab.network("n1", "172.30.0.0/16")
    c1 = lab.container(
        n1, 2, [lab.binding(8080, 80, "udp"), lab.binding(9000, 9000, host_port_end=9003, port_end=9003)]
    )
    lab.serve(c1, 80, "udp")
    assert lab.ask(lab.host, HOST, 8080, "udp")
    able = lab.on_host(kernel_is_able)
    lab.on_host(lambda: lab.driver.unpublish(n1, c1.endpoint, c1.endpoint.ports))
    lab.leave(c1)
    assert "172.30.0.2 " not in flows(lab)
    assert not lists or not able


def test_flows_of_published_ports_end_when_the_endpoint_leaves(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16")
    ports = [lab.binding(8080, 80, "udp", ip) for ip in ("0.0.0.0", "::")]
    c1, c2 = lab.container(n1, 2, ports), lab.container(n1, 3, [lab.binding(8081, 80, "udp")])
    for container in (c1, c2):
        lab.serve(container, 80, "udp")
    lab.serve(lab.host, 40000, "udp", "::")
    lab.on_host(lambda: proxy_redirect.redirect_to({"udp": 40000}))
    assert lab.ask(peer, HOST, 8080, "udp") == lab.ask(peer, HOST, 8081, "udp") == PEER
    assert lab.ask(lab.host, "::1", 8080, "udp") == "::1"
    assert asked(lab) == {(PEER, 8080), (PEER, 8081), ("::1", 8080)}
    lab.leave(c1)
    assert asked(lab) == {(PEER, 8081)}


def test_flows_to_a_former_socket_of_the_agent_end(lab, peer, deletion):
    n1 = lab.network("n1", "172.30.0.0/16")
    lab.container(n1, 2, [lab.binding(port, 80, "udp", "::") for port in (8080, 8081)])
    for port in (40000, 40001):
        lab.serve(lab.host, port, "udp", "::")
        lab.serve(peer, port, "udp", "::")
    lab.on_host(lambda: proxy_redirect.redirect_to({"udp": 40000}))
    lab.serve(lab.host, 8082, "udp", "::")
    assert all(lab.ask(peer, HOST6, port, "udp") == PEER6 for port in (8080, 8081, 8082))
    assert lab.ask(lab.host, PEER6, 40000, "udp") == HOST6
    lab.on_host(lambda: proxy_redirect.redirect_to({"udp": 40001}))
    assert asked(lab) == {(PEER6, 8082)}
    assert f"dst={PEER6} sport=" in flows(lab), "a flow to the same port number of another machine is kept"
    assert lab.ask(peer, HOST6, 8080, "udp") == PEER6
    lab.on_host(lambda: proxy_redirect.redirect_to({}))
    assert asked(lab) == {(PEER6, 8082)}


def test_a_wide_port_range_needs_one_dump(lab, lists):
    lab.serve(lab.host, 9999, "udp", HOST)
    assert lab.ask(lab.host, HOST, 9999, "udp")
    wide = [lab.binding(1000, 1000, "udp", host_port_end=9000, port_end=9000), lab.binding(10000, 80)]
    lab.network("n1", "172.30.0.0/16")
    assert lab.ask(lab.host, HOST, 9999, "udp")
    lab.on_host(lambda: conntrack.forget_ports(wide))
    assert len(lists) == 1


def kernel_is_able():
    """Return whether this kernel can remove conntrack entries by a filter (Linux 6.11 and later)."""
    refused = []
    remove = conntrack._remove_at_once
    try:
        conntrack._remove_at_once = lambda *args: refused.append(not remove(*args)) or not refused[-1]
        conntrack.forget_addresses([ip_address("192.0.2.1")])
    except KernelError:
        return False
    finally:
        conntrack._remove_at_once = remove
    return refused == [False]
