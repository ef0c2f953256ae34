"""Another program damages the firewall.

The agent repairs the firewall without a hawse command, and no forbidden packet passes.
"""

from __future__ import annotations

import re
import signal
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address

import pytest

from drivers.firewall import standby_table, table
from drivers.linux import netns as namespaces
from engine.store.sqlite import SqliteStore
from tests.conftest import loaded, until
from tests.netns.agent.conftest import Guarded
from tests.netns.drivers.firewall.test_standby_table import stream

pytestmark = pytest.mark.netns

HOST, PEER = "192.168.99.11", "192.168.99.99"
BOUND = 3.0
"""Seconds within which a repair of the firewall must be complete on a busy machine. Usually a repair takes hundredths
of a second.
"""
FAULTS = {
    "everything is flushed": "flush ruleset",
    "the table is deleted": "delete table inet hawse",
    "the table is replaced": "delete table inet hawse; add table inet hawse; add chain inet hawse other "
    "{ type filter hook forward priority 0; policy drop; }",
    "all rules are flushed": "flush table inet hawse",
    "isolation is flushed": "flush chain inet hawse forward",
    "the loopback guard is flushed": "flush chain inet hawse loopback_guard",
    "a rule is put first": "insert rule inet hawse forward accept",
    "a port is deleted": "delete element inet hawse any4 { tcp . 8080 }",
    "a port leads elsewhere": "delete element inet hawse any4 { tcp . 8080 }; "
    "add element inet hawse any4 { tcp . 8080 : 172.32.0.2 . 80 }",
    "a bridge is deleted": "delete element inet hawse bridges { %(app)s }",
    "masquerading is deleted": "delete element inet hawse masqueraded { %(app)s . ipv4 }",
    "a subnet is deleted": "delete element inet hawse members4 { 172.31.0.2-172.31.255.255 . %(app)s }",
    "the internal networks are flushed": "flush set inet hawse internal",
    "a port of another program's is added": "add element inet hawse any4 { tcp . 99 : 172.32.0.2 . 99 }",
    "a network is opened": "add element inet hawse unprotected { %(app)s . ipv4 }",
    "the spoof guard is deleted": "delete table bridge hawse",
    "the guarded ports are flushed": "flush set bridge hawse ports",
}
ENOUGH = 4  # after more damages than this, the next test starts a new agent
TOOK: dict[str, float] = {}


@pytest.fixture
def calm(guarded: Guarded) -> Iterator[Guarded]:
    """The host with an undamaged firewall. After the test, the fixture waits until the agent has repaired all damage to
    the firewall.
    """
    if guarded.damaged > ENOUGH:
        guarded.calm_down()
    before = guarded.state()
    yield guarded
    guarded.until(before)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_damage_is_repaired_without_any_command(calm, fault, request):
    before, log = calm.state(), calm.log()
    calm.nft(fault)
    TOOK[request.node.callspec.id] = took = calm.until(before)
    assert took < loaded(BOUND)
    assert re.search(r"repaired in \d+ ms", calm.logged(log))


def test_repairs_take_hundredths_of_a_second(guarded, capsys):
    with capsys.disabled():
        for name, took in TOOK.items():
            print(f"\n  {took * 1000:6.0f} ms  {name}", end="")
        print(f"\n  {statistics.median(TOOK.values()) * 1000:6.0f} ms  median", end=" ")
    assert statistics.median(TOOK.values()) < 1.0


def test_busy_connections_survive_damage_and_repair(calm):
    web, peer = calm.paths_of["web"], calm.peer.path
    streams = [stream(peer, HOST, 8080, web, 80), stream(web, PEER, 81, peer, 81)]
    streams.append(stream(calm.host.path, "127.0.0.1", 8081, web, 80))
    before = calm.state()
    try:
        for fault in ("flush ruleset", "delete table inet hawse", "flush chain inet hawse forward"):
            assert all(connection.goes_on() for connection in streams)
            calm.nft(fault)
            calm.until(before)
        assert [connection.goes_on() for connection in streams] == [True] * 3, [
            connection.error for connection in streams
        ]
    finally:
        for connection in streams:
            connection.close()


def load_saved(guarded: Guarded, version: int, *, replacing: bool = True) -> None:
    """Load a copy of the present table with ``nft -f``, changed so that it looks like one of another rules' version.

    With ``replacing``, delete the present table first.
    """
    saved = guarded.host.sh("nft list table inet hawse").replace(table.VERSION_SET, f"ruleset_{version}")
    saved = saved.replace("chain forward {", "chain extra { }\n chain forward {", 1)
    guarded.nft(("destroy table inet hawse\n" if replacing else "") + saved)


@pytest.mark.parametrize("replacing", [True, False], ids=["in place of the table", "into the table"])
def test_a_saved_table_of_an_older_version_is_replaced(calm, replacing):
    before, agent, log = calm.state(), calm.agent(), calm.log()
    for _ in range(2):
        load_saved(calm, 4, replacing=replacing)
        assert calm.until(before) < BOUND
    assert calm.agent() == agent
    assert calm.logged(log).count("repaired in") <= 4


def test_a_saved_table_of_a_newer_version_is_replaced_by_the_next_agent(guarded):
    guarded.calm_down()
    agent, log = guarded.agent(), guarded.log()
    load_saved(guarded, 999)
    until(lambda: guarded.agent() not in (0, agent), 20)
    successor = guarded.agent()
    until(lambda: "ruleset_999" not in guarded.host.sh("nft list table inet hawse"), 20)
    until(guarded._is_guarding)
    time.sleep(1)
    before = guarded.state()
    guarded.nft("flush ruleset")
    assert guarded.until(before) < BOUND
    assert guarded.agent() == successor
    assert "Traceback" not in guarded.log().removeprefix(log)


class Thief:
    """A container that sends packets all the time: to the host's 127.0.0.1, and with source addresses from
    127.0.0.0/8.
    """

    def __init__(self, path: str, gateway: str) -> None:
        self.gateway, self.sent, self.ended = gateway, 0, False
        self.plain = namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.raw = namespaces.run_in_netns(
            path, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        )
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()

    def send(self) -> None:
        ends = ip_address("127.0.0.5").packed + ip_address(self.gateway).packed
        spoofed = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
        while not self.ended:
            with suppress(OSError):
                self.plain.sendto(b"stolen", ("127.0.0.1", 9000))
                self.raw.sendto(spoofed + struct.pack("!4H", 5000, 9001, 8, 0), (self.gateway, 0))
                self.sent += 1
            time.sleep(0.0002)

    def close(self) -> None:
        self.ended = True
        self.thread.join(5)
        self.plain.close()
        self.raw.close()


def test_the_hosts_loopback_stays_out_of_reach_during_and_after_a_flush(calm):
    calm.host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0")
    path = calm.containers(thief=["--network", "app", "--ip", "172.31.0.9"])["thief"]
    calm.inside(
        path,
        "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1; "
        "ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local; "
        "ip route add 127.0.0.0/8 via 172.31.0.1 src 172.31.0.9",
    )
    heard = []
    services = [
        namespaces.run_in_netns(calm.host.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in "12"
    ]
    for service, place in zip(services, (("127.0.0.1", 9000), ("0.0.0.0", 9001)), strict=True):
        service.bind(place)
        service.settimeout(0)
    before, thief = calm.state(), Thief(path, "172.31.0.1")
    try:
        for _ in range(5):
            calm.nft("flush ruleset")
            calm.until(before)
            time.sleep(0.1)
    finally:
        thief.close()
    for service in services:
        with suppress(BlockingIOError):
            heard.append(service.recvfrom(100))
        service.close()
    assert thief.sent > 100
    assert heard == []
    calm.hawse("rm", "-f", "thief")


def test_new_connections_are_kept_out_until_the_repair_is_done(calm):
    """New connections are blocked until the firewall is repaired.

    The test delays the repair by holding the store's write lock.
    """
    db, web = calm.paths_of["db"], calm.paths_of["web"]
    calm.serve(db, 80, addresses=["0.0.0.0"])
    calm.peer.sh(f"ip route replace 172.32.0.0/16 via {HOST}")
    before, standing = calm.state(), stream(calm.peer.path, HOST, 8080, web, 80)
    with SqliteStore(calm.host.root / "hawse.db").write():
        calm.nft("flush ruleset")
        until(lambda: standby_table.TABLE in calm.host.sh("nft list tables"), BOUND)
        assert calm.state() != before, "else nothing is shown here"
        assert calm.silent(*(calm.question(path, "172.32.0.2", 80) for path in (web, calm.peer.path)))
        assert standing.goes_on()
        assert calm.until(before) < BOUND, "the repair does not wait for that process for long"
    standing.close()
    assert calm.silent(calm.question(web, "172.32.0.2", 80))


def test_the_table_is_complete_after_simultaneous_commands_and_flushes(calm):
    """Commands change the firewall while another program flushes it.

    The agent must not remove a command's new elements as damage, and a repair must not lose these elements.
    """
    before, ended = calm.state(), threading.Event()

    def flush() -> None:
        while not ended.wait(1):
            calm.nft("flush ruleset")

    flushing = threading.Thread(target=flush)
    flushing.start()
    try:
        for number in range(3):
            names = [f"c{number}{n}" for n in "ab"]
            calm.containers(**{n: ["--network", "app", "-p", f"{9000 + i}:80"] for i, n in enumerate(names)})
            calm.hawse("publish", names[0], "-p", "9100:81")
            calm.at_once(["rm", "-f", names[0]], ["rm", "-f", names[1]])
    finally:
        ended.set()
        flushing.join()
    assert calm.until(before) < 40


def test_changes_by_commands_are_not_repaired(calm):
    time.sleep(2.5)  # wait until the agent has repaired the damage of other tests
    before = calm.log()
    calm.containers(quiet=["--network", "app", "-p", "9200:80", "-p", "[::1]:9201:80"])
    calm.hawse("publish", "quiet", "-p", "9300-9400:300-400")
    time.sleep(2.5)
    calm.hawse("unpublish", "quiet", "80/tcp")
    calm.hawse("rm", "-f", "quiet")
    time.sleep(2.5)
    assert calm.log() == before


def test_thousands_of_foreign_elements_use_no_time_and_hide_no_damage(calm):
    before, used = calm.state(), calm.cpu()
    calm.host.sh("nft 'add table inet other; add set inet other s { type inet_service; }'")
    for start in range(1, 9000, 3000):
        many = ", ".join(map(str, range(start, start + 3000)))
        calm.host.run("nft", "-f", "-", stdin=None, input=f"add element inet other s {{ {many} }}\n")
    assert calm.cpu() - used < 0.2
    calm.host.sh("nft 'add set inet other t { type inet_service; }'")
    script = f"add element inet other t {{ {', '.join(map(str, range(1, 5000)))} }}\nflush chain inet hawse forward\n"
    calm.host.run("nft", "-f", "-", stdin=None, input=script)
    assert calm.until(before) < BOUND
    calm.host.sh("nft delete table inet other")


def test_route_localnet_is_on_while_ports_are_published(calm):
    bridge = calm.bridge("other")

    def is_on() -> bool:
        return calm.host.sh(f"sysctl -n net.ipv4.conf.{bridge}.route_localnet") == "1\n"

    until(lambda: not is_on(), pause=0.1)
    calm.hawse("publish", "db", "-p", "8500:80")
    assert is_on()
    calm.hawse("publish", "db", "-p", "8501:81")
    calm.hawse("unpublish", "db", "80/tcp")
    time.sleep(2.5)
    until(is_on, pause=0.1)
    calm.hawse("unpublish", "db", "81/tcp")
    until(lambda: not is_on(), seconds=60, pause=0.1)  # after hawse's own changes, the agent compares seldom


def test_an_idle_agent_costs_no_processor_time(calm):
    """A new agent first compares everything once, and makes a backup. After that, it uses no processor time."""
    shares = [calm.share_of_processor(6)]
    while shares[-1] >= 0.001 and len(shares) < 6:
        shares.append(calm.share_of_processor(6))
    assert shares[-1] < 0.001, shares


def test_repairs_become_rarer_while_another_program_keeps_deleting_the_table(guarded):
    guarded.calm_down()
    before, log = guarded.state(), guarded.log()
    loop = guarded.host.popen("sh", "-c", "while :; do nft delete table inet hawse 2>/dev/null; done")
    try:
        assert re.search(r"nft \(\d+\) keeps undoing the repair", guarded.logged(log, "keeps"))
        used, began = guarded.cpu(), time.monotonic()
        time.sleep(3)
        share = (guarded.cpu() - used) / (time.monotonic() - began)
    finally:
        loop.send_signal(signal.SIGKILL)
        loop.wait()
    assert share < 0.05, f"{share:.1%} of a processor"
    assert guarded.until(before, 40) < 40


def test_the_agent_follows_changed_settings(guarded, tmp_path, monkeypatch):
    """A user adds a firewall mark to the configuration file daemon.json, or removes a mark from the file.

    The agent adds or removes the mark's firewall rule without a restart.
    """
    config = tmp_path / "daemon.json"
    config.write_text("{}")
    monkeypatch.setenv("HAWSE_CONFIG", str(config))
    guarded.damaged += 1
    guarded.calm_down()
    without, agent = guarded.state(), guarded.agent()
    for damage in ("flush ruleset", "flush chain inet hawse marked"):
        config.write_text('{"bridge-accept-fwmark": "7"}')
        guarded.nft(damage)
        deadline = time.monotonic() + loaded(BOUND)
        while "0x00000007" not in guarded.host.sh("nft list chain inet hawse marked", check=False):
            assert time.monotonic() < deadline, guarded.log()
            time.sleep(0.02)
    config.write_text("{}")
    guarded.nft("flush ruleset")
    guarded.until(without)
    assert guarded.agent() == agent
    guarded.damaged = ENOUGH + 1  # makes the next test start a new agent, which does not use this daemon.json
