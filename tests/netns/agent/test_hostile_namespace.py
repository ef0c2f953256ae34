"""The owner of a connected namespace, who has all rights in this namespace, attacks the agent from there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median

import pytest

from drivers.firewall import resolver_redirect
from drivers.firewall.notifications import GROUP
from drivers.linux import libnftables
from drivers.linux import netns as namespaces
from drivers.linux.link_notifications import LINKS
from drivers.linux.nfnetlink import NETFILTER
from engine.dns import wire
from tests.conftest import require_root, until
from tests.netns.agent.conftest import Guarded, a_host
from tests.netns.drivers.linux.test_netlink_senders import ENDLESS
from tests.netns.nftables_messages import DELETE_TABLE, NEW_SET, NEW_TABLE, change_tables

pytestmark = pytest.mark.netns

GROUPS = {socket.NETLINK_ROUTE: LINKS[0], NETFILTER: GROUP}
"""By protocol, the multicast group to which hawse's sockets listen."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A host with the networks "app" and "other", and with the container "web" on "other"."""
    require_root()
    made = a_host("n", tmp_path_factory.mktemp("attacked"))
    made.networks(app=(), other=())
    made.paths_of = made.containers(web=["--network", "other"])
    yield made
    made.close()


def answer(path: str, name: str) -> bytes:
    """Return the DNS reply, as bytes, to a query for a name's IPv4 address from the network namespace ``path``."""
    encoded = wire.encode_name(name)
    assert encoded is not None
    with namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.settimeout(5)
        client.sendto(wire.make_query(b"id", encoded, wire.A), ("127.0.0.11", wire.PORT))
        return client.recv(512)


def send_to_all_netlink_sockets(data: bytes) -> None:
    """Send data to each netlink socket of the calling thread's namespace, and to the groups of these sockets."""
    for line in Path("/proc/thread-self/net/netlink").read_text().splitlines()[1:]:
        protocol, port = map(int, line.split()[1:3])
        if protocol in GROUPS and port:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sender:
                with suppress(ConnectionRefusedError):
                    sender.sendto(data, (port, 0))
                sender.sendto(data, (0, 1 << (GROUPS[protocol] - 1)))


def test_netlink_messages_of_a_connected_namespace_do_not_stop_the_agent(attacked, netns):
    attacked.hawse("network", "connect", "app", f"netns:{netns.path}")
    sandbox = attacked.paths_of["web"]
    known = answer(sandbox, "web")
    namespaces.run_in_netns(netns.path, lambda: send_to_all_netlink_sockets(ENDLESS))
    assert answer(sandbox, "web") == known


UNUSUAL_SET = {1: b"t\0", 2: b"s\0", 3: bytes(4), 4: b"\0\0\0\7", 5: b"\0\0\0\4", 10: b"\0\0\0\1",
               13: bytes([3, 8, 0, 4, 20, 0, 0, 0, 1, 0])}  # fmt: skip
"""Attributes NFTA_SET_*. The last one describes the set's key by a kind of expression that cannot be a key. libnftables
1.1.3 crashes when it reads this set.
"""


@pytest.fixture
def owned() -> Iterator[int]:
    """The pid of a process that has its own network namespace and its own user namespace."""
    with subprocess.Popen(["unshare", "-Urn", "sleep", "600"]) as process:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        yield process.pid
        process.kill()


@pytest.mark.parametrize("kind", ["user namespace", "named namespace"])
def test_rules_in_a_connected_namespace_do_not_end_the_agent(attacked, owned, netns, kind):
    """The agent repairs its damaged rules in the connected namespace. Unusual tables there must not end the agent."""
    place = f"/proc/{owned}/ns/net" if kind == "user namespace" else netns.path
    sandbox = attacked.paths_of["web"]
    attacked.hawse("network", "connect", "app", f"netns:{place}")
    known, before = answer(sandbox, "web"), attacked.agent()
    assert answer(place, "web") != b""
    table = {1: resolver_redirect.TABLE.encode() + b"\0"}
    unusual = (NEW_TABLE, {1: UNUSUAL_SET[1]}), (NEW_SET, UNUSUAL_SET)
    namespaces.run_in_netns(place, lambda: change_tables(*unusual, (DELETE_TABLE, table)))
    time.sleep(3)
    assert answer(sandbox, "web") == known
    assert attacked.agent() == before


OCCUPIERS = 250
OCCUPY = f"""
import os
from drivers.linux.nfnetlink import NETFILTER
from drivers.linux.netlink import Session
from tests.netns.nftables_messages import DELETE_TABLE, NEW_TABLE, change_tables

def occupy(name):
    while True:
        change_tables((NEW_TABLE, {{1: name}}))
        change_tables((DELETE_TABLE, {{1: name}}))
        Session(NETFILTER).close()

for number in range({OCCUPIERS}):
    if os.fork() == 0:
        occupy(b"t%d\\0" % number)
print("begun", flush=True)
os.wait()
"""
"""A program whose processes all change nftables tables in their namespace, so that each transaction waits for others.

Each deletion makes the kernel hold the namespace's lock for a grace period of RCU.
"""


@pytest.fixture
def occupied(owned) -> Iterator[int]:
    """The pid of ``owned``. In its network namespace, the kernel makes each nftables transaction after seconds only."""
    enter = ["nsenter", "-t", str(owned), "-U", "-n", "--preserve-credentials"]
    argv = [*enter, sys.executable, "-c", OCCUPY]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        yield owned
        os.killpg(process.pid, signal.SIGKILL)


def test_transactions_in_a_connected_namespace_do_not_delay_the_names_of_others(attacked, occupied):
    """The kernel makes one nftables transaction of a namespace at a time, and the agent's own must wait."""
    place = f"netns:/proc/{occupied}/ns/net"
    sandbox, times = attacked.paths_of["web"], []
    for words in (["connect", "app", place], ["disconnect", "app", place]):
        command = threading.Thread(target=attacked.hawse, args=["network", *words])
        command.start()
        while command.is_alive():
            began = time.monotonic()
            answer(sandbox, "web")
            times.append(time.monotonic() - began)
        command.join()
    assert max(times) < 1.5


def test_the_repair_of_a_redirection_reads_no_tables_into_the_process(netns, monkeypatch):
    """libnftables could crash if it read a table that another program has made in the namespace."""
    address = IPv4Address("127.0.0.11")
    resolver_redirect._sample(address)  # made in a namespace of its own
    monkeypatch.setattr(libnftables, "_execute", None)

    def repair() -> None:
        for port in (5300, 5353):
            resolver_redirect.redirect(address, port)

    namespaces.run_in_netns(netns.path, repair)
    until(lambda: namespaces.run_in_netns(netns.path, resolver_redirect.bound_port) == 5353)  # may be late under load


LEVELS, JUMPS = 4, 20
"""The kernel goes through JUMPS ** LEVELS chains for each packet that the slow rules apply to."""
FLOOD = """
import socket, sys, time
from engine.dns import wire

kind, name, address, port = sys.argv[1:]
query = wire.make_query(b"id", wire.encode_name(name), wire.A)
framed = (len(query).to_bytes(2, "big") + query) * 8
clients = []
for _ in range(32):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if kind == "TCP" else socket.SOCK_DGRAM)
    made.connect((address, int(port)))
    made.setblocking(False)
    clients.append(made)

def ask(sock):
    try:
        sock.send(framed if kind == "TCP" else query)
        sock.recv(65536)
    except OSError:
        time.sleep(0.0001)

print("begun", flush=True)
while True:
    for sock in clients:
        ask(sock)
"""
"""A program that sends DNS queries for a name to an address and port all the time, by UDP or TCP."""


def slow_rules(hook: str, *rules: str) -> str:
    """Return an nftables script that makes the kernel slow for the packets of a hook to which one of ``rules`` applies.

    It has few rules: JUMPS * LEVELS, and some more.
    """
    jumps = [f"jump l{level - 1}; " * JUMPS if level else "return;" for level in range(LEVELS + 1)]
    chains = [f"chain l{level} {{ {jump} }}" for level, jump in enumerate(jumps)]
    slow = "".join(f"{rule} jump l{LEVELS}; " for rule in rules)
    chains.append(f"chain slow {{ type filter hook {hook} priority 0; {slow} }}")
    return "\n".join(("table ip slow {", *chains, "}\n"))


@contextmanager
def flood(path: str, kind: str, name: str, address: str = "127.0.0.11", port: int = wire.PORT) -> Iterator[None]:
    """Run the program `FLOOD` in the network namespace ``path`` for the ``with`` block."""
    argv = ["nsenter", f"--net={path}", sys.executable, "-c", FLOOD, kind, name, address, str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        try:
            yield
        finally:
            process.kill()


def check_names_are_fast(path: str, seconds: float = 3) -> None:
    """Ask in the network namespace ``path`` for some seconds; fail if an answer takes long."""
    times, end = list[float](), time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        answer(path, "web")
        times.append(time.monotonic() - began)
        time.sleep(0.01)
    assert median(times) < 0.1
    assert max(times) < 0.5


@pytest.mark.parametrize("name", ["box", "name.of.a.server"])
@pytest.mark.parametrize("kind", ["UDP", "TCP"])
def test_slow_rules_in_a_connected_namespace_do_not_delay_the_names_of_others(attacked, netns, kind, name):
    """The kernel applies the rules of the namespace to the agent's answers and queries while the agent waits."""
    place = ["app", f"netns:{netns.path}"]
    attacked.hawse("network", "connect", "--alias", "box", *place)
    # The queries of the program are fast. Otherwise it could not send many.
    netns.run("nft", slow_rules("output", "ip saddr 127.0.0.11", "ip daddr != 127.0.0.0/8"))
    with flood(netns.path, kind, name):
        check_names_are_fast(attacked.paths_of["web"])
        attacked.hawse("network", "disconnect", *place)
        attacked.hawse("network", "connect", "--alias", "box", *place)
    netns.run("nft", "delete table ip slow")  # otherwise this query waits for those of the program
    assert answer(netns.path, "box")[3] & 15 == wire.NOERROR


@pytest.fixture
def neighbours(attacked) -> Iterator[dict[str, str]]:
    """A container with CAP_NET_ADMIN that publishes ports, and two whose DNS server is the first one: their paths.

    The "client" asks it at its own address, and the container "far" at its published port.
    """
    attacked.hawse("network", "create", "--subnet", "172.40.0.0/24", "near")
    ports = ["-p", "8053:53/udp", "-p", f"{attacked.host.address}:53:53/udp"]
    yield attacked.containers(
        server=["--network", "near", "--ip", "172.40.0.2", "--cap-add", "NET_ADMIN", *ports]
    ) | attacked.containers(
        client=["--network", "near", "--dns", "172.40.0.2"],
        far=["--network", "app", "--dns", attacked.host.address],
    )
    attacked.hawse("rm", "-f", "server", "client", "far")
    attacked.hawse("network", "rm", "near")


@pytest.mark.parametrize("way", ["its DNS server", "a proxied port", "a published port that is a DNS server"])
def test_slow_rules_for_what_the_agent_sends_to_a_container_do_not_delay_the_names_of_others(attacked, neighbours, way):
    """The kernel receives a packet for another namespace of the same host while the sender waits."""
    argv = ["nsenter", f"--net={neighbours['server']}", "nft", slow_rules("prerouting", "ip daddr 172.40.0.2")]
    subprocess.run(argv, check=True)
    if way == "a proxied port":
        flooding = flood(attacked.host.path, "UDP", "x", "::1", 8053)
    else:
        asking = neighbours["client" if way == "its DNS server" else "far"]
        flooding = flood(asking, "UDP", "name.of.a.server")
    with flooding:
        check_names_are_fast(attacked.paths_of["web"])


def test_slow_rules_of_a_container_in_the_sandbox_of_another_do_not_delay_the_names_of_others(attacked):
    """The other container has no CAP_NET_ADMIN. It keeps its thread, because the rules remain."""
    path = attacked.containers(owner=["--network", "app"])["owner"]
    attacked.containers(guest=["--network", "container:owner", "--cap-add", "NET_ADMIN"])
    script = slow_rules("output", "ip saddr 127.0.0.11")
    subprocess.run(["nsenter", f"--net={path}", "nft", script], check=True)
    with flood(path, "UDP", "owner"):
        check_names_are_fast(attacked.paths_of["web"], 2)
        attacked.hawse("rm", "-f", "guest")
        check_names_are_fast(attacked.paths_of["web"], 2)
    attacked.hawse("rm", "-f", "owner")


GATEWAY = """
import socket, sys, time

link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0x0806))
own, gateway = link.getsockname()[4], socket.inet_aton(sys.argv[1])
frame = bytes.fromhex("ffffffffffff") + own + bytes.fromhex("08060001080006040002") + own + gateway + own + gateway
print("begun", flush=True)
while True:
    link.send(frame)
    time.sleep(0.02)
"""
"""A program that tells all neighbours again and again that it has the address of the gateway (ARP)."""


def test_slow_rules_of_a_false_gateway_do_not_delay_the_names_of_others(attacked, netns):
    """The queries of a container go to a connected namespace on its network, because it claims to be the gateway."""
    attacked.hawse("network", "create", "--subnet", "172.41.0.0/24", "lured")
    path = attacked.containers(lured=["--network", "lured"])["lured"]
    attacked.hawse("network", "connect", "lured", f"netns:{netns.path}")
    netns.run("nft", slow_rules("prerouting", "udp dport 53"))
    argv = ["nsenter", f"--net={netns.path}", sys.executable, "-c", GATEWAY, "172.41.0.1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == b"begun\n"
        with flood(path, "UDP", "name.of.a.server"):
            check_names_are_fast(attacked.paths_of["web"])
        gateway.kill()
    attacked.hawse("rm", "-f", "lured", f"netns:{netns.path}")
    attacked.hawse("network", "rm", "lured")


def test_slow_rules_of_a_privileged_command_do_not_delay_the_names_of_others(attacked):
    """The container itself has no CAP_NET_ADMIN. It keeps its thread, because the rules remain after the command."""
    path = attacked.containers(owner=["--network", "app"])["owner"]
    attacked.hawse("exec", "--privileged", "-i", "owner", "nft", slow_rules("output", "ip saddr 127.0.0.11"))
    with flood(path, "UDP", "owner"):
        check_names_are_fast(attacked.paths_of["web"], 2)
    attacked.hawse("rm", "-f", "owner")


@pytest.mark.parametrize("comment", ["²", "65536"])
def test_a_comment_that_is_no_port_is_no_redirection(netns, comment):
    """The agent reads the rules before it binds its sockets; an error would end its update of all sandboxes."""
    script = resolver_redirect.script(IPv4Address("127.0.0.11"), 5300)
    netns.run("nft", script.replace('"5300"', f'"{comment}"'))
    assert namespaces.run_in_netns(netns.path, resolver_redirect.bound_port) == 0
