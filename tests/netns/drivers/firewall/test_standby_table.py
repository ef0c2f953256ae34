"""The agent's standby table is a second nftables table that survives a flush of hawse's firewall rules.

The standby table blocks forbidden packets until the agent has repaired the rules.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address

import pytest

from drivers.firewall.standby_table import TABLE
from drivers.firewall.watch import FirewallWatch
from drivers.linux import libnftables
from drivers.linux import netns as namespaces
from tests.netns.drivers.conftest import SILENCE, a_socket

pytestmark = pytest.mark.netns

HOST, PEER = "192.168.99.11", "192.168.99.99"
HOOKS = ("translated_in", "translated_to_host", "translated_from_host", "translated_out")


@pytest.fixture
def watch(lab) -> Iterator[FirewallWatch]:
    lab.host.sh("sysctl -qw net.ipv4.ip_forward=1")
    made = lab.on_host(FirewallWatch)
    yield made
    made.close()


def block(lab, watch, *networks, saved_state=()) -> None:
    lab.on_host(lambda: watch.block(networks, saved_state))


def flush(lab, watch, rule: str = "") -> None:
    """Flush the firewall rules. With ``rule``, first delete this rule of the standby table.

    A test that gives ``rule`` shows that forbidden packets pass if the rule is missing.
    """
    if rule:
        chain, text = rule.split(": ")
        listed = lab.host.sh(f"nft -a list chain {TABLE} {chain}")
        handle = next(m[1] for m in re.finditer(r"\t\t(?:.*) # handle (\d+)", listed) if text in m[0])
        lab.on_host(lambda: watch._standby._context.run(f"delete rule {TABLE} {chain} handle {handle}"))
    lab.host.sh("nft flush ruleset")


def test_no_other_program_changes_or_flushes_it(lab, watch):
    before = lab.host.sh(f"nft list table {TABLE}")
    lab.host.sh("nft flush ruleset")
    for command in ("delete table", "flush table", "add chain", "flush chain"):
        with pytest.raises(AssertionError, match="Operation not permitted"):
            lab.host.sh(f"nft '{command} {TABLE} {'forward' if 'chain' in command else ''}'")
    assert lab.host.sh(f"nft list table {TABLE}") == before


def test_the_table_ends_with_the_process_that_made_it(lab, watch):
    watch.close()
    assert TABLE not in lab.host.sh("nft list tables")


def test_in_normal_times_it_lets_everything_pass(lab, watch, peer):
    n1, n2 = lab.network("n1", "172.30.0.0/16"), lab.network("n2", "172.31.0.0/16")
    web, other = lab.container(n1, 2, [lab.binding(8080, 80)]), lab.container(n2, 2)
    for server in (web, peer):
        lab.serve(server, 80)
    for _ in range(2):
        assert lab.ask(peer, HOST, 8080) == PEER
        assert lab.ask(lab.host, "127.0.0.1", 8080) == "172.30.0.1"
        assert lab.ask(other, PEER, 80) == HOST
        block(lab, watch, n1, n2)
        lab.on_host(watch.unblock)


@pytest.mark.parametrize(
    ("without", "closed"), [("", True), ("forward: iifname @blocked", False), ("forward: oifname @blocked", False)]
)
def test_a_blocked_bridge_takes_no_new_connection(lab, watch, peer, without, closed):
    n1, n2 = lab.network("n1", "172.30.0.0/16"), lab.network("n2", "172.31.0.0/16")
    web, other = lab.container(n1, 2), lab.container(n2, 2)
    peer.sh(f"ip route add 172.30.0.0/16 via {HOST}; ip route add 172.31.0.0/16 via {HOST}")
    for server in (web, peer):
        lab.serve(server, 80)
    block(lab, watch, n1, n2)
    flush(lab, watch, without)
    ways = [lab.silent(peer, "172.30.0.2", 80), lab.silent(web, PEER, 80)]
    assert all(ways) is closed
    assert lab.silent(other, "172.30.0.2", 80), "that takes both rules out"
    lab.on_host(watch.unblock)
    assert lab.ask(other, "172.30.0.2", 80)


@pytest.mark.parametrize(("without", "closed"), [("", True), ("forward: @strangers", False)])
def test_after_a_flush_foreign_interfaces_cannot_use_hawses_forwarding(lab, watch, peer, without, closed):
    n1, far = lab.network("n1", "172.30.0.0/16"), lab.sandbox()
    lab.host.sh(f"ip link add side type veth peer name far netns {far.namespace}; ip addr add 10.9.0.1/24 dev side")
    lab.host.sh("ip link set side up")
    far.run("sh", "-c", "ip addr add 10.9.0.2/24 dev far; ip link set far up; ip route add default via 10.9.0.1")
    peer.sh(f"ip route add 10.9.0.0/24 via {HOST}")
    lab.serve(peer, 80)
    block(lab, watch, n1, saved_state=["forwarding ipv4"])
    flush(lab, watch, without)
    assert lab.silent(far, PEER, 80) is closed
    lab.on_host(watch.unblock)
    assert lab.ask(far, PEER, 80)


@pytest.mark.parametrize(("without", "closed"), [("", True), ("input: @enclosed", False)])
def test_a_blocked_internal_network_does_not_reach_the_host(lab, watch, without, closed):
    inside = lab.container(lab.network("inside", "172.32.0.0/16", internal=True), 2)
    inside.run("ip", "route", "add", "default", "via", "172.32.0.1")
    lab.serve(lab.host, 80, address=HOST)
    block(lab, watch, *lab.networks)
    flush(lab, watch, without)
    assert lab.silent(inside, HOST, 80) is closed


@pytest.mark.parametrize(
    ("without", "attack", "closed"),
    [
        ("", "to", True),
        ("", "from", True),
        ("loopback_guard: ip daddr", "to", False),
        ("loopback_guard: ip saddr", "from", False),
    ],
)
def test_containers_do_not_reach_the_hosts_loopback_after_a_flush(lab, watch, without, attack, closed):
    n1 = lab.network("n1", "172.30.0.0/16")
    thief = lab.container(n1, 2, [lab.binding(8080, 80)])
    lab.host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0")
    private, public = lab.serve(lab.host, 9000, "udp", "127.0.0.1"), lab.serve(lab.host, 9001, "udp")
    become_thief(thief)
    flush(lab, watch, without)
    if attack == "to":
        heard = lab.hears(private, thief, "127.0.0.1", 9000)
    else:
        send_from_loopback(thief, "172.30.0.1", 9001)
        heard = public.heard.wait(SILENCE)
    assert heard is not closed


def become_thief(container) -> None:
    """Make a container route 127.0.0.0/8 to the container's gateway, so that the host receives the container's packets
    for 127.0.0.1.
    """
    container.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.eth0.route_localnet=1")
    for route in ("127.0.0.0/8", "127.0.0.1"):
        container.run("ip", "route", "del", "local", route, "dev", "lo", "table", "local")
    container.run("ip", "route", "add", "127.0.0.0/8", "via", "172.30.0.1", "src", "172.30.0.2")


def send_from_loopback(container, address: str, port: int) -> None:
    """Send one datagram with the source address 127.0.0.5 from a container."""
    ends = ip_address("127.0.0.5").packed + ip_address(address).packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
    raw = namespaces.run_in_netns(
        container.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    )
    with raw:
        raw.sendto(header + struct.pack("!4H", 5000, port, 8, 0), (address, 0))


class Stream:
    """A connection on which both ends send data without a pause."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.received, self.error, self.ended = 0, "", False
        self.ends = client, server
        for sender, receiver in (self.ends, self.ends[::-1]):
            threading.Thread(target=self.send, args=(sender,), daemon=True).start()
            threading.Thread(target=self.receive, args=(receiver,), daemon=True).start()

    def send(self, sock: socket.socket) -> None:
        with suppress(TimeoutError):
            self.guarded(lambda: sock.sendall(bytes(10000)))

    def receive(self, sock: socket.socket) -> None:
        self.guarded(lambda: self.count(len(sock.recv(65536))))

    def count(self, size: int) -> None:
        self.received += size

    def guarded(self, action) -> None:
        while not self.ended:
            try:
                action()
            except TimeoutError:
                continue
            except OSError as error:
                self.error = self.error or repr(error)
                return

    def goes_on(self, patience: float = 5) -> bool:
        before, deadline = self.received, time.monotonic() + patience
        while self.received < before + 10**6 and not self.error and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.received >= before + 10**6 and not self.error

    def close(self) -> None:
        self.ended = True
        for end in self.ends:
            end.close()


def stream(client_path: str, address: str, port: int, server_path: str, server_port: int) -> Stream:
    with a_socket(server_path, socket.AF_INET, "tcp") as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", server_port))
        listener.listen()
        client = a_socket(client_path, socket.AF_INET, "tcp")
        client.settimeout(5)
        client.connect((address, port))
        return Stream(client, listener.accept()[0])


@pytest.mark.parametrize("there", [True, False], ids=["with the table", "without it"])
def test_connections_outlive_a_short_flush_only_with_the_standby_table(lab, peer, there):
    """With the standby table, connections survive a flush of the firewall that is repaired after half a second.

    The test has two connections: one through a published port, and one that is masqueraded. Both break without the
    standby table.
    """
    watch = lab.on_host(FirewallWatch) if there else None
    web = lab.container(lab.network("n1", "172.30.0.0/16"), 2, [lab.binding(8080, 80)])
    streams = [stream(peer.path, HOST, 8080, web.path, 80), stream(web.path, PEER, 81, peer.path, 81)]
    try:
        whole = lab.host.sh("nft list table inet hawse")
        assert all(connection.goes_on() for connection in streams)
        lab.host.sh("nft flush ruleset")
        time.sleep(0.5)
        lab.on_host(lambda: libnftables.run(whole))
        assert [connection.goes_on() for connection in streams] == [there, there]
    finally:
        for connection in streams:
            connection.close()
        if watch is not None:
            watch.close()


def test_it_uses_every_hook_that_translates_addresses(lab, watch):
    """The standby table uses every netfilter hook that translates addresses.

    If one hook were missing, the kernel would not translate packets in some directions. A test with packets would find
    the missing hook only by chance.
    """
    hooks = re.findall(r"chain (\w+) \{\s+type nat hook (\w+)", lab.host.sh(f"nft list table {TABLE}"))
    assert hooks == list(zip(HOOKS, ("prerouting", "input", "output", "postrouting"), strict=True))


def test_without_libnftables_route_localnet_is_off_until_the_repair(lab, monkeypatch, capfd):
    monkeypatch.setattr(libnftables, "_library", lambda: None)
    watch = lab.on_host(FirewallWatch)
    assert "install libnftables" in capfd.readouterr().err
    n1 = lab.network("n1", "172.30.0.0/16")
    lab.container(n1, 2, [lab.binding(8080, 80)])
    state = f"cat /proc/sys/net/ipv4/conf/br-{n1.id[:12]}/route_localnet"
    assert lab.host.sh(state) == "1\n"
    block(lab, watch, n1)
    assert lab.host.sh(state) == "0\n"
    lab.on_host(watch.unblock)
    lab.repair([(n1, [lab.endpoint(n1, 2, [lab.binding(8080, 80)])])])
    assert lab.host.sh(state) == "1\n"
    watch.close()
