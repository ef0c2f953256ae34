"""macvlan networks whose parent is ext0, the host's veth interface to the peer namespace."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from drivers.errors import Exists, KernelError, Missing, Unsupported, UnusableOption
from drivers.ipvlan import IpvlanDriver
from drivers.linux import link
from drivers.linux import netns as namespaces
from drivers.macvlan import MacvlanDriver
from drivers.model import NetworkSpec
from tests.conftest import loaded, until

pytestmark = pytest.mark.netns


@pytest.fixture
def macvlan(lab):
    lab.driver = MacvlanDriver()
    return lab


def test_endpoints_are_neighbours_of_the_wire_but_not_of_the_host(macvlan, peer):
    network = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0"})
    c1, c2 = macvlan.container(network, 128), macvlan.container(network, 129)
    assert macvlan.pings(c1, "192.168.99.99")
    assert macvlan.pings(c1, "192.168.99.129")
    assert not macvlan.pings(c1, "192.168.99.11", wait=0.2)
    macvlan.serve(peer, 8000)
    assert macvlan.ask(c2, "192.168.99.99", 8000) == "192.168.99.129"


def test_private_mode_keeps_endpoints_apart(macvlan):
    network = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0", "macvlan_mode": "private"})
    c1, _ = macvlan.container(network, 128), macvlan.container(network, 129)
    assert macvlan.pings(c1, "192.168.99.99")
    assert not macvlan.pings(c1, "192.168.99.129", wait=0.2)


def test_a_parent_that_no_longer_exists_is_named(macvlan):
    macvlan.host.sh("ip link add par0 type veth peer name par1")
    network = macvlan.network("m1", "10.9.0.0/24", options={"parent": "par0"})
    macvlan.host.sh("ip link delete par0")
    with pytest.raises(Missing, match="parent interface was not found on the host: par0"):
        macvlan.on_host(lambda: macvlan.driver.create_network(network))


def test_leaving_removes_the_interface_and_joining_again_replaces_it(macvlan):
    network = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0"})
    c1 = macvlan.container(network, 128)
    macvlan.join(c1, network, 128, interface="eth0")
    assert macvlan.pings(c1, "192.168.99.99")
    for _ in range(2):
        macvlan.on_host(lambda: macvlan.driver.leave(network, c1.endpoint, c1.sandbox))
    assert "eth0" not in c1.run("ip", "link")
    macvlan.on_host(lambda: macvlan.driver.leave(network, c1.endpoint, None))


def test_an_endpoint_takes_over_the_addresses_of_a_sandbox_that_is_ending(macvlan):
    network = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0"})
    earlier = macvlan.container(network, 128)
    # As the kernel does after the last process, but later: the namespace and its interface exist for another second.
    with subprocess.Popen(["ip", "netns", "exec", earlier.namespace, "sleep", "1"]) as last:
        until(lambda: os.path.samefile(f"/proc/{last.pid}/ns/net", earlier.path))
        subprocess.run(["ip", "netns", "del", earlier.namespace], check=True)
        c1 = macvlan.container(network, 128)
    assert macvlan.pings(c1, "192.168.99.99")


def test_a_repair_does_not_wait_for_the_addresses_of_another_sandbox(macvlan):
    """The agent repairs all containers in one thread."""
    network = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0"})
    c1, c2 = macvlan.container(network, 128), macvlan.sandbox()
    c1.run("ip", "link", "set", "eth0", "netns", c2.namespace)
    c2.run("ip", "link", "set", "eth0", "up")
    lost = macvlan.on_host(lambda: macvlan.driver.compare_endpoint(network, c1.endpoint, c1.sandbox, "eth0"))
    began = time.monotonic()
    with pytest.raises(KernelError, match="address already in use"):
        macvlan.on_host(lambda: macvlan.driver.repair_endpoint(network, c1.endpoint, c1.sandbox, "eth0", lost))
    assert time.monotonic() - began < loaded(2)


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        ("lo", "loopback interface is not a valid macvlan parent link"),
        ("nosuch", "invalid subinterface vlan name nosuch, example formatting is eth0.10"),
        ("ext0.abc", "unable to parse a valid vlan id from: abc (ex. eth0.10 for vlan 10)"),
        ("ext0." + "9" * 5000, f"unable to parse a valid vlan id from: {'9' * 5000} (ex. eth0.10 for vlan 10)"),
        ("ext0.5000", "vlan id must be between 1-4094, received: 5000"),
        ("nosuch.10", "-o parent interface was not found on the host: nosuch"),
        ("nosuch.5000", "-o parent interface was not found on the host: nosuch"),
        (
            "ext0.20.30",
            "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received ext0.20.30",
        ),
    ],
)
def test_an_unusable_parent_is_refused_before_anything_is_made(macvlan, parent, message):
    network = macvlan.spec("m1", "192.168.99.0/24", options={"parent": parent})
    with pytest.raises(UnusableOption, match="^" + message.replace("(", r"\(").replace(")", r"\)") + "$"):
        macvlan.on_host(lambda: macvlan.driver.check_network(network, []))


def test_a_parent_serves_one_network(macvlan):
    first = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0"})
    second = macvlan.spec("m2", "192.168.98.0/24", options={"parent": "ext0"})
    with pytest.raises(UnusableOption, match=f"^network dm-{first.id[:12]} is already using parent interface ext0$"):
        macvlan.on_host(lambda: macvlan.driver.check_network(second, [first]))


def test_a_kernel_without_the_link_kind_says_so(macvlan):
    for options, message in (
        ({}, "operation not supported"),
        ({"parent": "ext0.10"}, "failed to create ext0.10 vlan link"),
    ):
        network = macvlan.spec("m1", "192.168.99.0/24", options=options)
        try:
            macvlan.on_host(lambda: macvlan.driver.create_network(network))  # noqa: B023
        except Unsupported as error:
            assert message in str(error)
        else:
            name = options.get("parent", f"dm-{network.id[:12]}")
            assert macvlan.on_host(lambda: link.index(name))  # noqa: B023
        macvlan.on_host(lambda: macvlan.driver.delete_network(network))  # noqa: B023


def test_deleting_a_network_keeps_the_users_parent_interface(macvlan):
    network = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0"})
    for _ in range(2):
        macvlan.on_host(lambda: macvlan.driver.delete_network(network))
    assert macvlan.on_host(lambda: link.index("ext0"))


def test_the_host_accepts_no_router_advertisements_on_a_parent_that_hawse_made(macvlan, monkeypatch):
    """hawse switches off router advertisements on a parent interface that hawse created.

    In this test the parent interface is a bridge, because some kernels have no dummy and VLAN links.
    """
    add = link.add
    monkeypatch.setattr(link, "add", lambda opened, name, _kind, **_: add(opened, name, "bridge"))
    network = macvlan.network("m1", "192.168.98.0/24")
    name = macvlan.driver.parent_name(network)
    assert macvlan.host.sh(f"cat /proc/sys/net/ipv6/conf/{name}/accept_ra; ip -br link show {name}").split()[:2] == [
        "0",
        name,
    ]


@pytest.mark.parametrize("options", [{}, {"parent": "ext0.10"}])
def test_a_killed_creation_of_a_parent_leaves_no_unmarked_link(macvlan, monkeypatch, options):
    """The parents are bridges, because some kernels have no dummy and VLAN links."""
    add = link.add
    monkeypatch.setattr(link, "add", lambda opened, name, _kind, **_: add(opened, name, "bridge"))
    network, driver = macvlan.spec("m1", "192.168.98.0/24", options=options), macvlan.driver
    before = macvlan.host.sh("ip -o link").count("\n")

    def killed():
        with monkeypatch.context() as patch:
            patch.setattr(link, "change", lambda *_, **__: sys.exit())
            with pytest.raises(SystemExit):
                driver.create_network(network)

    macvlan.on_host(killed)
    macvlan.on_host(lambda: driver.create_network(network))
    assert macvlan.on_host(lambda: driver.compare_network(network, [])) == []
    shown = macvlan.host.sh(f"ip link show {driver.parent_name(network)}")
    assert f"alias hawse network {network.id}" in shown
    assert "UP" in shown
    macvlan.on_host(lambda: driver.delete_network(network))
    macvlan.on_host(killed)
    macvlan.on_host(lambda: driver.delete_network(network))
    assert macvlan.host.sh("ip -o link").count("\n") == before


def test_a_name_that_is_taken_leaves_nothing_behind(macvlan):
    network = macvlan.network("m1", "192.168.99.0/24", options={"parent": "ext0"})
    container = macvlan.sandbox()
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    with pytest.raises(Exists, match=r"^the sandbox has an interface eth0 already"):
        macvlan.join(container, network, 128, interface="eth0")
    assert [line.split()[0] for line in container.run("ip", "-br", "link").splitlines()] == ["lo", "eth0"]


def test_an_ipvlan_network_of_an_older_version_keeps_its_parent(netns):
    netns.run("ip", "link", "add", "dm-0123456789ab", "type", "bridge")
    network = NetworkSpec(id="0123456789abcdef" * 4, name="n1", options={}, pools=())
    parents = namespaces.run_in_netns(
        netns.path, lambda: [d.parent_name(network) for d in (IpvlanDriver(), MacvlanDriver())]
    )
    assert parents == ["dm-0123456789ab", "dm-0123456789ab"]
    netns.run("ip", "link", "del", "dm-0123456789ab")
    assert namespaces.run_in_netns(netns.path, lambda: IpvlanDriver().parent_name(network)) == "di-0123456789ab"
