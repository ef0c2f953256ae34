"""No traffic of an encrypted network is readable on the wire between the hosts.

This must hold even while processes are killed or programs are missing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.conftest import Member, eventually
from tests.cluster.far_host import inside

pytestmark = [pytest.mark.netns, pytest.mark.slow]
SECRET = b"hawse-in-clear"
"""The text that one container sends to another container five times per second, while both containers exist."""


DAMAGES = [
    "ip route del default",
    "ip route add blackhole 0.0.0.0/1",
    "ip link set {} mtu 1280",
    "ip addr flush dev {}",
]


class Wire:
    """A capture of all packets between the hosts. The capture begins before the test creates an encrypted network, and
    ends after the network is removed.
    """

    def __init__(self, cluster):
        self.path = cluster.directory / "wire.pcap"
        argv = ("tcpdump", "-U", "-i", "br0", "-w", str(self.path))
        self._process = cluster.peer.popen(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert b"listening on" in self._process.stderr.readline()

    def close(self):
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)

    def packets(self, matching):
        """Return the number of captured packets that match a tcpdump filter."""
        argv = ["tcpdump", "-nr", str(self.path), matching]
        return len(subprocess.run(argv, capture_output=True, text=True).stdout.splitlines())


@pytest.fixture(scope="module")
def wire(cluster):
    """Start a packet capture in the namespace whose bridge connects all hosts."""
    made = Wire(cluster)
    yield made
    with contextlib.suppress(ProcessLookupError):
        made.close()


@pytest.fixture(scope="module")
def pair(cluster, wire):
    if shutil.which("wireguard-go") is None or shutil.which("wg") is None:
        pytest.skip(
            "neither the wireguard module nor wireguard-go is here (apt-get install wireguard-go wireguard-tools)"
        )
    Member.settings = {**Member.settings, "HAWSE_KEY_LIFETIME": "25"}
    a, b = cluster.grow(2)
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "vault")
    b.start("v2", "vault")
    a.start("v1", "vault", command=("ping", "-i", "0.2", "-p", SECRET.hex(), b.ip("v2", "vault")))
    yield a, b
    del Member.settings["HAWSE_KEY_LIFETIME"]


def test_containers_reach_each_other(pair):
    a, b = pair
    eventually(lambda: a.reaches("v1", "v2") and b.reaches("v2", "v1"), 20)


def test_a_host_joins_an_encrypted_network_only_if_it_can_encrypt(cluster, pair, tmp_path):
    a, _ = pair
    third = cluster.join()
    start = ("run", "-d", "--name", "v3", "--network", "vault", "hostfs", "sleep", "1d")
    refused = third.hawse(*start, check=False, env={"PATH": programs_without("wg", tmp_path), "HAWSE_WARM": "off"})
    assert refused.returncode
    assert "network vault is encrypted and can't come up: the wg program is missing" in refused.stderr
    third.hawse("rm", "-f", "v3")
    third.start("v3", "vault")
    eventually(lambda: a.reaches("v1", "v3") and third.reaches("v3", "v2"), 20)
    assert a.verify("vault").stdout == "ok\n"


def test_keys_are_rotated_and_traffic_continues(pair):
    a, b = pair
    before = public_keys(a)
    eventually(lambda: len(before & public_keys(a)) < len(before), 40)
    eventually(lambda: a.reaches("v1", "v2") and b.reaches("v2", "v1"))


def test_traffic_outlives_the_agent(pair):
    a, b = pair
    there = b.ip("v2", "vault")
    os.kill(a.agent_pid(), signal.SIGKILL)
    assert a.reaches("v1", there)


def test_no_packet_passes_after_the_tunnel_was_killed_until_it_is_repaired(pair):
    a, b = pair
    there = b.ip("v2", "vault")
    for pid in pids_of(a, "wireguard-go"):
        os.kill(pid, signal.SIGKILL)
    assert not a.reaches("v1", there)
    a.verify("vault", "--fix")  # repairs the network at once; the agent would take up to a minute
    eventually(lambda: a.reaches("v1", there), 20)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_agent_repairs_the_routes_mtu_and_address_of_a_tunnel(pair, damage):
    a, b = pair
    there = b.ip("v2", "vault")
    tunnel = "$(ip -o route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/')"
    inside(a, damage.format(tunnel), "vault")
    eventually(lambda: a.verify("vault").stdout == "ok\n", 3)
    eventually(lambda: a.reaches("v1", there), 3)


def test_no_packet_of_the_tests_before_was_on_the_wire_in_clear(cluster, pair, wire):
    a, _ = pair
    cluster.everywhere(lambda host: host.hawse("rm", "-f", f"v{host.index}"))
    a.hawse("network", "rm", "vault")
    wire.close()
    assert wire.packets("udp portrange 51820-60000") > 100
    assert wire.packets("udp port 4789") == 0
    assert SECRET not in wire.path.read_bytes()


def public_keys(host):
    """Return the public tunnel keys of the hosts that are recorded in the cluster's store."""
    return set(host.tool("vault", "keys"))


def pids_of(host, program):
    """Return the pids of all processes of a program in a host's namespace."""
    pids = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == program]


def programs_without(missing, directory):
    """Return a value for PATH with which a command finds all programs except the ``missing`` ones."""
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).glob("*"):
            with contextlib.suppress(FileExistsError):
                if program.name != missing:
                    (directory / program.name).symlink_to(program)
    return str(directory)
