"""The tests check from where a container on a bridge network can be reached."""

from __future__ import annotations

import re
import socket

import pytest

from drivers.linux import link
from drivers.linux import netns as namespaces
from tests.conftest import until

pytestmark = pytest.mark.netns


def test_members_of_a_network_reach_each_other_their_gateway_and_the_outside(lab, peer):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64")
    c1, c2 = lab.container(n1, 2), lab.container(n1, 3)
    for address in ("172.30.0.3", "fd00:30::3", "172.30.0.1", "fd00:30::1", "192.168.99.99", "192.168.99.11"):
        assert lab.pings(c1, address), address
    lab.serve(peer, 8000)
    lab.serve(c2, 80)
    assert lab.ask(c1, "192.168.99.99", 8000) == "192.168.99.11"
    assert lab.ask(c1, "172.30.0.3", 80) == "172.30.0.2"
    assert lab.ask(lab.host, "172.30.0.3", 80) == "172.30.0.1"


def test_a_container_fills_the_address_table_of_the_bridge_only_up_to_a_limit(lab):
    """A container with Docker's default capabilities can send frames from any MAC address, and bridges learn them."""
    n1 = lab.network("n1", "172.30.0.0/16")
    c1, c2 = lab.container(n1, 2), lab.container(n1, 3)
    sender = namespaces.run_in_netns(c1.path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    sender.bind(("eth0", 0))

    def learnt() -> int:
        """Send frames from more addresses than the limit; return the number of addresses that the bridge has learnt."""
        for number in range(link.LEARNT_LIMIT + 1000):
            sender.send(b"\2\0\0\0\0\1\2\x99" + number.to_bytes(4) + b"\x88\xb5" + bytes(46))
        shown = re.search(r"fdb_n_learned (\d+)", lab.host.sh(f"ip -d link show br-{n1.id[:12]}"))
        return int(shown[1]) if shown is not None else 0

    with sender:
        until(lambda: learnt() >= link.LEARNT_LIMIT, 20)  # a busy kernel drops some frames
        assert learnt() == link.LEARNT_LIMIT
    assert lab.pings(c1, "172.30.0.1")
    assert lab.pings(c2, "172.30.0.2")
