"""With direct routing, senders reach a container at the container's own address, with the host as router.

Direct routing uses no host port. The address on which a container port is published decides who reaches the port:

- published on all addresses: all neighbours, as with Docker 26
- published on one address: only neighbours on trusted interfaces, as with Docker 28
- published on a loopback address: no neighbour
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.firewall import table
from drivers.model import Settings

pytestmark = pytest.mark.netns

HOST, HOST6, SIDE, SIDE6 = "192.168.99.11", "fd99::11", "10.9.9.1", "fd09::1"
WEB, WEB6 = "172.30.0.2", "fd00:30::2"
OPTION = "com.docker.network.bridge."
EVERYWHERE, ONE_ADDRESS, LOOPBACK, RANGE, UNPUBLISHED = 80, 90, 91, 92, 99
PORTS = (EVERYWHERE, ONE_ADDRESS, LOOPBACK, RANGE, RANGE + 1, UNPUBLISHED)
SILENCE = 0.5  # seconds to wait for an answer
MARKED = "add table ip other; add chain ip other pre { type filter hook prerouting priority raw; }; "


class Wires:
    """A host on two virtual wires. Each wire has a neighbour that routes the containers' subnets to the host."""

    def __init__(self, lab, peer, settings: Settings = Settings(), **options: str) -> None:  # noqa: B008
        self.lab, self.peer = lab, peer
        lab.driver.configure(settings)
        self.far = lab.sandbox()
        lab.host.sh(f"ip link add side type veth peer name eth0 netns {self.far.namespace}; ip link set side up")
        lab.host.sh(f"ip addr add {SIDE}/24 dev side; ip addr add {SIDE6}/64 dev side nodad")
        self.far.run(
            "sh", "-ec",
            "ip addr add 10.9.9.2/24 dev eth0; ip addr add fd09::2/64 dev eth0 nodad; ip link set eth0 up;"
            f"ip route add 172.30.0.0/16 via {SIDE}; ip route add fd00:30::/64 via {SIDE6}",
        )  # fmt: skip
        peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add fd00:30::/64 via {HOST6}")
        self.network = lab.network(
            "a", "172.30.0.0/16", "fd00:30::/64", options={OPTION + key: value for key, value in options.items()}
        )
        self.other = lab.container(lab.network("b", "172.31.0.0/16", "fd00:31::/64"), 2)
        binding = lab.binding
        ports = [binding(8080, EVERYWHERE, host_ip=ip) for ip in ("0.0.0.0", "::")]
        ports += [binding(9100, ONE_ADDRESS, host_ip=ip) for ip in (SIDE, SIDE6)]
        ports += [binding(9101, LOOPBACK, host_ip=ip) for ip in ("127.0.0.1", "::1")]
        ports += [
            binding(9200, RANGE, host_ip=ip, host_port_end=9201, port_end=RANGE + 1) for ip in (SIDE, SIDE6)
        ]  # fmt: skip
        self.web = lab.container(self.network, 2, ports)
        for port in PORTS:
            for address in ("0.0.0.0", WEB6):
                lab.serve(self.web, port, address=address)
        assert lab.pings(self.web, "fd00:30::1")

    def reached(self, client) -> set[int]:
        """Return the container ports that a client reaches at the container's own address.

        The ports must be the same with IPv4 and with IPv6.
        """
        questions = [(address, port) for address in (WEB, WEB6) for port in PORTS]
        with ThreadPoolExecutor(len(questions)) as at_once:
            answers = list(at_once.map(lambda question: self.lab.ask(client, *question, wait=SILENCE), questions))
        reached = [question for question, answer in zip(questions, answers, strict=True) if answer]
        ports = [{port for to, port in reached if to == address} for address in (WEB, WEB6)]
        assert ports[0] == ports[1]
        return ports[0]


def test_port_published_on_one_address_is_closed_to_direct_routing(lab, peer):
    wires = Wires(lab, peer)
    for address in (SIDE, SIDE6):
        assert lab.ask(wires.far, address, 9100)
        assert lab.ask(wires.far, address, 9201)
        assert lab.ask(wires.other, address, 9100), "containers of other networks ask the host's address too"
    assert wires.reached(peer) == wires.reached(wires.far) == {EVERYWHERE}
    assert wires.reached(wires.other) == set()
    assert wires.reached(lab.host) == set(PORTS)


def test_trusted_interface_reaches_published_ports(lab, peer):
    wires = Wires(lab, peer, trusted_host_interfaces="nosuch0:ext0::br/*/:a-name-of-no-interface")
    assert wires.reached(peer) == {80, 90, 92, 93}, "never what is published on a loopback address"
    assert wires.reached(wires.far) == {EVERYWHERE}
    assert wires.reached(wires.other) == set()


def test_trusted_network_reaches_published_ports(lab, peer):
    bridge = f"br-{lab.spec('b').id[:12]}"
    wires = Wires(lab, peer, trusted_host_interfaces=bridge)
    assert wires.reached(wires.other) == {80, 90, 92, 93}
    lab.serve(wires.other, UNPUBLISHED)
    assert lab.silent(wires.web, "172.31.0.2", UNPUBLISHED), "trust is not mutual"


def test_direct_routing_is_allowed_to_all(lab, peer):
    wires = Wires(lab, peer, Settings(direct_routing=True), trusted_host_interfaces="ext0")
    assert wires.reached(peer) == wires.reached(wires.far) == {80, 90, 92, 93}
    assert wires.reached(wires.other) == set()


def test_unprotected_network_is_open_to_neighbours_and_other_networks(lab, peer):
    both = {f"gateway_mode_ipv{version}": "nat-unprotected" for version in (4, 6)}
    wires = Wires(lab, peer, **both)
    everything = set(PORTS)
    assert wires.reached(peer) == wires.reached(wires.far) == wires.reached(wires.other) == everything
    lab.serve(wires.other, UNPUBLISHED)
    assert lab.silent(wires.web, "172.31.0.2", UNPUBLISHED), "the others are as protected from it as before"


def test_packets_with_the_accepted_mark_come_in(lab, peer):
    wires = Wires(lab, peer, Settings(accept_mark="2/3"), enable_icc="false")
    inside = lab.container(lab.network("inside", "172.32.0.0/16", internal=True), 2)
    inside.run("ip", "route", "add", "default", "via", "172.32.0.1")
    friend = lab.container(wires.network, 3)
    lab.serve(inside, UNPUBLISHED)
    peer.sh(f"ip route add 172.32.0.0/16 via {HOST}")
    friend.run("ip", "route", "add", f"{WEB}/32", "via", "172.30.0.1")
    clients = (peer, wires.other, friend)
    for mark, gets_in in (("0x5", False), ("0xe", True)):
        lab.host.sh(f"nft '{MARKED} flush chain ip other pre; add rule ip other pre meta mark set {mark}'")
        assert [bool(lab.ask(client, WEB, UNPUBLISHED, wait=0.5)) for client in clients] == [gets_in] * 3
        assert lab.silent(peer, "172.32.0.2", UNPUBLISHED), "an internal network stays closed"


def test_new_settings_need_a_repair_that_applies_them(lab, peer):
    wires = Wires(lab, peer)
    state = [(network, [e for n, e in wires.web.endpoints if n is network]) for network in lab.networks]
    driver = lab.driver

    lab.repair(state)
    assert not lab.on_host(driver.needs_repair)
    for settings, ports in (
        (Settings(direct_routing=True), {80, 90, 92, 93}),
        (Settings(), {EVERYWHERE}),
        (Settings(accept_mark="7"), {EVERYWHERE}),
        (Settings(accept_mark="9"), {EVERYWHERE}),
        (Settings(accept_mark="7"), {EVERYWHERE}),
        (Settings(), {EVERYWHERE}),
    ):
        driver.configure(settings)
        assert lab.on_host(driver.needs_repair)
        assert lab.repair(state)
        assert lab.repair(state) == []
        assert not lab.on_host(driver.needs_repair)
        assert wires.reached(peer) == ports
        accepting = lab.host.sh(f"nft list chain {table.TABLE} {table.MARKED}")
        assert ("meta mark 0x00000007" in accepting) == (settings.accept_mark == "7")


def test_first_network_of_a_host_has_the_mark_accepted(lab):
    lab.driver.configure(Settings(accept_mark="0"))
    for name, subnet in (("a", "172.30.0.0/16"), ("b", "172.31.0.0/16")):
        lab.network(name, subnet)
        assert lab.host.sh(f"nft list chain {table.TABLE} {table.MARKED}").count("meta mark 0x00000000") == 1


@pytest.mark.parametrize("damage", ["flush chain inet hawse marked", "flush ruleset"])
def test_rule_of_the_accepted_mark_that_another_program_removes_comes_back(lab, damage):
    lab.driver.configure(Settings(accept_mark="2/3"))
    state = [(lab.network("a", "172.30.0.0/16"), [])]
    lab.repair(state)
    before = lab.host.sh(f"nft list chain {table.TABLE} {table.MARKED}")
    assert lab.repair(state) == []
    lab.host.sh(f"nft {damage}")
    assert lab.repair(state)
    assert lab.host.sh(f"nft list chain {table.TABLE} {table.MARKED}") == before
