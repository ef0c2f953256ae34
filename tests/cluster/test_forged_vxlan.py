"""The hosts of an overlay network drop VXLAN packets that do not come from another host of this network.

The test also checks that these hosts still reach each other.
"""

from __future__ import annotations

import json
import socket

import pytest

from drivers.linux import netns as namespaces
from tests.cluster.conftest import eventually
from tests.packets import ethernet, send, udp, vxlan

pytestmark = pytest.mark.netns
PORT = 5001
SILENCE, PATIENCE = 0.5, 5.0  # seconds to wait for a forged frame and for a genuine frame


def namespace(host, container: str) -> str:
    return f"/proc/{host.hawse('inspect', '-f', '{{.State.Pid}}', container).stdout.strip()}/ns/net"


class Target:
    """A container on an overlay network. A socket in the container receives the test's frames that enter the
    network.
    """

    def __init__(self, host, container: str, network: str) -> None:
        self.host, self.address = host, host.ip(container, network)
        document = json.loads(host.hawse("network", "inspect", network).stdout)[0]
        self.vni = int(document["Options"]["com.docker.network.driver.overlay.vxlanid_list"].split(",")[0])
        template = f"{{{{.NetworkSettings.Networks.{network}.MacAddress}}}}"
        self.mac = host.hawse("inspect", "-f", template, container).stdout.strip()
        path = namespace(host, container)
        self.socket = namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.socket.bind((self.address, PORT))

    def hears(self, path: str, source: str, wait: float = SILENCE) -> bool:
        """Send a VXLAN packet from the namespace ``path`` to the container's host.

        Return whether the container receives the frame inside the packet.
        """
        frame = ethernet(self.mac, "02:00:00:00:00:99", udp("10.0.1.99", 1, self.address, PORT, b"slipped in"))
        send(path, vxlan(source, self.host.underlay, self.vni, frame))
        self.socket.settimeout(wait)
        try:
            return self.socket.recv(100) == b"slipped in"
        except TimeoutError:
            return False


def test_only_hosts_of_the_network_may_send_frames(cluster):
    a, b = cluster.grow(2)
    for host in (a, b):
        host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
    a.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    a.start("web", "app")
    a.hawse("run", "-d", "--name", "stranger", "hostfs", "sleep", "1d")
    b.start("box", "app")
    eventually(lambda: a.reaches("web", "box"))
    targets = Target(a, "web", "app"), Target(b, "box", "app")
    stranger, address = (
        namespace(a, "stranger"),
        a.hawse("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "stranger").stdout.strip(),
    )
    assert a.hawse("exec", "stranger", "busybox", "ping", "-c1", "-W5", b.underlay).returncode == 0
    assert targets[1].hears(a.path, a.underlay, PATIENCE), "the packets are well made"
    for target in targets:
        assert not target.hears(cluster.peer.path, "192.168.99.99"), "a neighbour on the LAN"
        for source in (address, a.underlay, b.underlay):
            assert not target.hears(stranger, source), "a container of one of the hosts"
    b.hawse("rm", "-f", "box")
    eventually(lambda: not targets[0].hears(b.path, b.underlay))
    for target in targets:
        target.socket.close()
