"""Another program damages an overlay network on one host. The agent repairs the damage without a hawse command."""

import os
import signal
import time

import pytest

from engine.cluster.local_networks import NETWORKS_LOCK
from engine.store.locks import locked
from tests.cluster.conftest import eventually
from tests.cluster.far_host import inside
from tests.conftest import loaded

pytestmark = pytest.mark.netns
BOUND = 3.0
"""Seconds after a damage within which traffic must pass again, also on a busy machine."""
PORTS = "ip -o link show type veth | sed 's/^[0-9]*: \\([^@]*\\)@.*/\\1/' | while read port; do "
ANOTHER_DEVICE = (
    "until printf '%s\\n' 'link delete vxlan0' 'link add vxlan0 type {}' | ip -batch - 2>/dev/null; do sleep 0.05; done"
)
"""In one batch. It is repeated if the agent creates the device between the two changes."""
FAULTS = {
    "the neighbours are removed": "ip neigh flush nud permanent dev vxlan0",
    "the forwarding entries are removed": "bridge fdb show dev vxlan0 | while read mac rest; do "
    "bridge fdb del $mac dev vxlan0 2>/dev/null || bridge fdb del $mac dev vxlan0 master; done",
    "a neighbour is changed": "ip neigh show dev vxlan0 nud permanent | while read ip rest; do "
    "ip neigh replace $ip lladdr 02:00:00:00:00:99 dev vxlan0 nud permanent; done",
    "the VXLAN device is deleted": "ip link delete vxlan0",
    "the VXLAN device is down": "ip link set vxlan0 down",
    "the VXLAN device is out of the bridge": "ip link set vxlan0 nomaster",
    "the bridge is deleted": "ip link delete br0",
    "the bridge is down": "ip link set br0 down",
    "the VXLAN device has a small MTU": "ip link set vxlan0 mtu 1300",
    "the bridge has a large MTU": "ip link set br0 mtu 9000",
    "the VXLAN device has ARP off": "ip link set vxlan0 arp off",
    "the VXLAN device learns": "ip link set vxlan0 type vxlan learning",
    "the VXLAN device has a remote address": "ip link set vxlan0 type vxlan remote 192.168.99.77",
    "the VXLAN device has another VXLAN id": ANOTHER_DEVICE.format("vxlan id 77 dstport 4789 nolearning proxy"),
    "the VXLAN device has another port": ANOTHER_DEVICE.format("vxlan id 4097 dstport 8472 nolearning proxy"),
    "the VXLAN device is another kind of link": ANOTHER_DEVICE.format("veth"),
    "the VXLAN device's port is blocked": "bridge link set dev vxlan0 state 0",
    "the VXLAN device's port has other flags": "bridge link set dev vxlan0 isolated off learning on neigh_suppress on",
    "the bridge runs the spanning tree protocol": "ip link set br0 type bridge stp_state 1; ip link set br0 mtu 1300",
    "IPv6 is off on the VXLAN device": "sysctl -qw net.ipv6.conf.vxlan0.disable_ipv6=1",
    "the bridge accepts router advertisements": "sysctl -qw net.ipv6.conf.br0.accept_ra=2",
    "the namespace forwards": "sysctl -qw net.ipv4.conf.all.forwarding=1",
    "the containers' ports are deleted": PORTS + "ip link delete $port; done",
    "the containers' ports are out of the bridge": PORTS + "ip link set $port nomaster; done",
    "the containers' ports are isolated": PORTS + "bridge link set dev $port isolated on learning on; done",
    "the containers' ports suppress": PORTS + "bridge link set dev $port neigh_suppress on flood off; done",
    "the containers' ports are blocked": PORTS + "bridge link set dev $port state 0; done",
    "the containers' ports have a small MTU": PORTS + "ip link set $port mtu 1000; done",
}
FAULTS_OF_ONE_AGENT = 5


@pytest.fixture(scope="module")
def pair(cluster):
    a, b = cluster.grow(2)
    a.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    a.start("c1", "app")
    b.start("c2", "app")
    eventually(lambda: a.reaches("c1", "c2") and b.reaches("c2", "c1"))
    return a, b


@pytest.fixture(scope="module")
def ping(pair):
    """The command on the first host that sends one ping from its container to the container of the second host."""
    a, b = pair
    path = a.hawse("inspect", "-f", "/proc/{{.State.Pid}}/ns/net", "c1").stdout.strip()
    return ["nsenter", f"--net={path}", "ping", "-c1", "-W0.1", b.ip("c2", "app")]


@pytest.fixture
def patient(pair, fault):
    """The first host. After every fifth fault, its agent is replaced by a new agent.

    An agent that has made many repairs delays its next repairs.
    """
    a, _ = pair
    yield a
    if list(FAULTS.values()).index(fault) % FAULTS_OF_ONE_AGENT == FAULTS_OF_ONE_AGENT - 1:
        before = a.agent_pid()
        os.kill(before, signal.SIGKILL)
        eventually(lambda: a.agent_pid() not in (0, before))
        eventually(lambda: a.verify("app").stdout == "ok\n")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_damage_is_repaired_without_any_command(patient, ping, fault, capsys):
    a = patient
    assert a.run(*ping, check=False).returncode == 0
    log = (a.run_dir / "agent.log").read_text()
    inside(a, fault)
    began = time.monotonic()
    eventually(lambda: "repaired in" in (a.run_dir / "agent.log").read_text().removeprefix(log))
    eventually(lambda: a.run(*ping, check=False).returncode == 0)
    eventually(lambda: a.verify("app").stdout == "ok\n")  # the line in the log may be of the fault before
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\n  {took * 1000:6.0f} ms", end=" ")
    assert took < loaded(BOUND)


def test_sysctls_of_a_recreated_device_are_repaired(pair):
    a, _ = pair
    inside(a, "ip link delete vxlan0")
    eventually(lambda: a.verify("app").stdout == "ok\n")
    log = (a.run_dir / "agent.log").read_text()
    began = time.monotonic()
    inside(a, "sysctl -qw net.ipv6.conf.vxlan0.disable_ipv6=1")
    eventually(lambda: "disable_ipv6" in (a.run_dir / "agent.log").read_text().removeprefix(log))
    assert time.monotonic() - began < loaded(BOUND)
    assert a.verify("app").stdout == "ok\n"


def test_no_network_is_repaired_while_a_command_may_be_deleting_it(pair):
    a, _ = pair
    log = (a.run_dir / "agent.log").read_text()
    with locked(a.run_dir, *NETWORKS_LOCK):
        inside(a, "ip link delete vxlan0")
        eventually(lambda: "timed out after 0.2 s" in (a.run_dir / "agent.log").read_text().removeprefix(log))
        assert a.verify("app").stdout != "ok\n"
    eventually(lambda: a.verify("app").stdout == "ok\n")
