"""A container on several networks sends all packets through the network that has the container's default route.

This also holds for packets whose source address belongs to another of the container's networks.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from drivers.linux import netns as namespaces
from engine.store.api import Intent
from tests.conftest import until
from tests.netns.engine.conftest import recorded

pytestmark = pytest.mark.netns
PEER = "192.168.99.99"
REPAIR_WHILE_STARTING = """
from engine.endpoints import sandbox
from engine.recovery import recover

def admit_and_repair(host, members, admit=sandbox.admit_siblings):
    admit(host, members)
    recover.repair(host, whole=False)

sandbox.admit_siblings = admit_and_repair
"""
LAST, FIRST = ["--subnet", "172.30.0.0/16", "zz"], ["--subnet", "172.31.0.0/16", "aa"]


class Call:
    """An open connection from a container to the peer (another machine on the host's network)."""

    def __init__(self, host, container: str) -> None:
        pid = host.hawse("inspect", "-f", "{{.State.Pid}}", container).stdout.strip()
        listener = namespaces.run_in_netns(host.peer.path, lambda: socket.create_server((PEER, 0)))
        with listener:
            place = listener.getsockname()
            self.near = namespaces.run_in_netns(f"/proc/{pid}/ns/net", lambda: socket.create_connection(place, 5))
            self.far, _ = listener.accept()

    def goes_on(self) -> bool:
        """Return whether data still passes through the connection in both directions."""
        for sender, receiver in ((self.near, self.far), (self.far, self.near)):
            receiver.settimeout(3)
            sender.send(b"word")
            try:
                if receiver.recv(10) != b"word":
                    return False
            except TimeoutError:
                return False
        return True

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def host(shared_host):
    """One host for all tests."""
    return shared_host


@pytest.fixture(params=[0, 2], ids=lambda value: f"rp_filter {value}")
def web(request, host) -> Iterator[str]:
    """A container on one network. The host has another network, whose name precedes the first network's name in the
    alphabet.
    """
    host.sh(f"sysctl -qw net.ipv4.conf.all.rp_filter={request.param} net.ipv4.conf.default.rp_filter={request.param}")
    for network in (LAST, FIRST):
        host.hawse("network", "create", *network)
    host.hawse("run", "-d", "--name", "web", "--network", "zz", "hostfs", "sleep", "1000")
    yield "web"


def siblings(host) -> list[str]:
    """Return the addresses that the firewall allows as source on the bridges of a container's other networks.

    Only containers on several networks have such addresses.
    """
    listed = json.loads(host.sh("nft -j list set inet hawse siblings4"))["nftables"]
    elements = next(item["set"].get("elem", []) for item in listed if "set" in item)
    return sorted(element["concat"][0] for element in elements)


def test_connections_outlive_the_move_of_the_default_route(host, web):
    call = Call(host, web)
    assert call.goes_on()
    assert siblings(host) == []
    host.hawse("network", "connect", "aa", web)
    assert call.goes_on(), "it is sent by the network that holds the default route now"
    assert siblings(host) == ["172.30.0.2", "172.31.0.2"]
    later = Call(host, web)
    host.sh("nft flush ruleset")
    host.hawse("network", "rm", host.hawse("network", "create", "other").stdout.strip())
    assert siblings(host) == ["172.30.0.2", "172.31.0.2"], "a repair brings them back"
    assert call.goes_on() and later.goes_on()
    host.hawse("network", "disconnect", "aa", web)
    assert siblings(host) == []
    assert call.goes_on()
    for connection in (call, later):
        connection.close()


def test_the_host_reaches_a_published_port_by_the_gateway_of_each_network(host):
    """With rp_filter=1, the container drops packets whose source belongs to another of its networks.

    Docker 26.1.5 answers too, with the same client addresses. It keeps the host's address on a network that is not
    masqueraded.
    """
    plain = ("plain", "--subnet", "172.32.0.0/24", "-o", "com.docker.network.bridge.enable_ip_masquerade=false")
    inner = ("inner", "--subnet", "172.33.0.0/24", "--internal")
    for network in (LAST, FIRST, plain, inner):
        host.hawse("network", "create", *network)
    for network in (plain, inner):  # activates the network
        host.hawse("run", "-d", "--network", network[0], "hostfs", "sleep", "1d")
    strict = (f"--sysctl=net.ipv4.conf.{which}.rp_filter=1" for which in ("all", "default"))
    server = (
        "import socket; s = socket.create_server(('', 80))\nwhile True: c, a = s.accept(); c.sendall(a[0].encode())"
    )
    command = (sys.executable, "-c", server)
    host.hawse("run", "-d", "--name", "web", "--network", "aa", "-p", "8080:80", *strict, "hostfs", *command)
    host.hawse("network", "connect", "zz", "web")

    def seen_by_web(gateway: str) -> str:
        with suppress(ConnectionRefusedError), socket.create_connection((gateway, 8080), 3) as connection:
            return connection.recv(99).decode()
        return ""  # the server does not listen yet

    def ask(gateway: str) -> str:
        return until(lambda: namespaces.run_in_netns(host.path, lambda: seen_by_web(gateway)))

    assert [ask("172.30.0.1"), ask("172.31.0.1")] == ["172.31.0.1"] * 2
    assert [ask("172.32.0.1"), ask("172.33.0.1")] == ["172.32.0.1", "172.33.0.1"]


def test_allowed_source_addresses_are_removed_with_the_container(host, web):
    host.hawse("network", "connect", "aa", web)
    host.hawse("restart", "-t", "0", web)
    assert siblings(host) == ["172.30.0.2", "172.31.0.2"]
    host.hawse("rm", "-f", web)
    assert siblings(host) == []


def test_repair_takes_nothing_from_a_container_that_is_being_started(host, web):
    """A container is being started. Another command repairs the firewall before the new endpoints are recorded as live.

    The repair must not remove the addresses that the start has already added to the firewall.
    """
    host.hawse("network", "connect", "aa", web)
    host.hawse("stop", "-t", "0", web)
    assert siblings(host) == []
    host.hawse("start", web, code=REPAIR_WHILE_STARTING)
    assert siblings(host) == ["172.30.0.2", "172.31.0.2"]


def test_a_macvlan_network_gives_addresses_of_each_of_its_subnets(host):
    subnets = ("--subnet", "10.61.0.0/30", "--subnet", "10.62.0.0/24", "--gateway", "10.62.0.254")
    host.hawse("network", "create", "-d", "macvlan", "-o", "parent=ext0", *subnets, "wire")
    routes = ("hostfs", "ip", "-4", "route")
    asked = host.hawse("run", "--rm", "--network", "wire", "--ip", "10.62.0.7", *routes).stdout
    assert "default via 10.62.0.254 " in asked and "src 10.62.0.7" in asked
    host.hawse("run", "-d", "--network", "wire", "hostfs", "sleep", "1d")
    full = host.hawse("run", "--rm", "--network", "wire", *routes).stdout
    assert "default via 10.62.0.254 " in full and "src 10.62.0.1" in full


def test_a_container_whose_default_route_leads_to_a_macvlan_network_publishes_no_ports(host):
    """As in Docker 26.1.5: the container would send its answers to clients by the macvlan network."""

    def ports() -> list[str]:
        return host.hawse("port", "web").stdout.splitlines()

    published = ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    wire = ("--subnet", "10.61.0.0/24", "-o", "parent=ext0", "bb")
    host.hawse("network", "create", "-d", "macvlan", *wire)
    host.hawse("network", "create", "aa")
    host.hawse("network", "create", "cc")
    host.hawse("run", "-d", "--name", "web", "--network", "cc", "-p", "8080:80", "hostfs", "sleep", "1d")
    assert ports() == published
    host.hawse("network", "connect", "bb", "web")
    assert ports() == []
    host.hawse("restart", "-t", "0", "web")
    assert ports() == []
    host.hawse("network", "connect", "aa", "web")
    assert ports() == published
    host.hawse("network", "disconnect", "aa", "web")
    assert ports() == []
    host.hawse("network", "disconnect", "bb", "web")
    assert ports() == published


def test_a_refused_publish_at_connect_leaves_the_published_ports(host):
    host.hawse("network", "create", "-d", "macvlan", "--subnet", "10.61.0.0/24", "-o", "parent=ext0", "bb")
    host.hawse("network", "create", "cc")
    host.hawse("run", "-d", "--name", "web", "--network", "cc", "-p", "80", "hostfs", "sleep", "1d")
    ports = host.hawse("port", "web").stdout
    refused = host.hawse("network", "connect", "--publish", "8081:81", "bb", "web", check=False)
    assert refused.returncode == 1 and "has its default route on another network" in refused.stderr
    assert host.hawse("port", "web").stdout == ports
    assert host.hawse("inspect", "-f", "{{len .NetworkSettings.Networks}}", "web").stdout == "1\n"


def test_a_disconnect_publishes_no_port_that_another_container_took_meanwhile(host):
    """As in Docker 26.1.5, which only logs "port is already allocated"."""
    host.hawse("network", "create", "-d", "macvlan", "--subnet", "10.61.0.0/24", "-o", "parent=ext0", "bb")
    host.hawse("network", "create", "cc")
    publish = ("-p", "8080:80", "-p", "8081:81")
    host.hawse("run", "-d", "--name", "web", "--network", "cc", *publish, "hostfs", "sleep", "1d")
    host.hawse("network", "connect", "bb", "web")
    host.hawse("run", "-d", "--name", "other", "-p", "8080:80", "hostfs", "sleep", "1d")
    host.hawse("network", "disconnect", "bb", "web")
    assert host.hawse("port", "web").stdout == ""
    assert host.hawse("network", "verify", "cc").stdout == "ok\n"
    assert not [one for one in recorded(host) if isinstance(one, Intent)]
    host.hawse("rm", "-f", "other")
    host.hawse("restart", "-t", "0", "web")
    assert "80/tcp -> 0.0.0.0:8080" in host.hawse("port", "web").stdout
