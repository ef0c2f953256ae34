"""The tests check from where a container on a bridge network can be reached."""

from __future__ import annotations

import pytest

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
