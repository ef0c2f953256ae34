"""The inspect document of a cluster network shows this host's own address, as Docker shows its load balancer's."""

from __future__ import annotations

import pytest

from engine.cluster import keys, snapshot
from engine.cluster.model import MANAGER, ClusterMembership
from engine.cluster.render import completed
from engine.model import NetworkRecord, PoolRecord

MEMBERSHIP = ClusterMembership("c", "a", MANAGER, "192.0.2.1", "192.0.2.1")
POOLS = (PoolRecord("fd00:1::/64"), PoolRecord("10.1.0.0/24"), PoolRecord("10.2.0.0/16"))


@pytest.mark.parametrize(
    ("address", "mac", "ipv4", "ipv6"),
    [
        ("10.1.0.2", "02:42:0a:01:00:02", "10.1.0.2/24", ""),
        ("10.2.0.2", "02:42:0a:02:00:02", "10.2.0.2/16", ""),
        ("fd00:1::2", "", "", "fd00:1::2/64"),
    ],
)
def test_the_own_address_has_the_prefix_length_of_its_subnet(address, mac, ipv4, ipv6):
    record = NetworkRecord("n", "web", "now", "overlay", scope="swarm", enable_ipv6=True, pools=POOLS)
    view = snapshot.make(1, {keys.balancer("n", "a"): address})
    document = completed({"Containers": {"c1": {}}, "Labels": None}, record, view, MEMBERSHIP)
    own = document["Containers"]["lb-web"]
    assert (own["MacAddress"], own["IPv4Address"], own["IPv6Address"]) == (mac, ipv4, ipv6)


def test_an_own_address_outside_all_subnets_is_left_out():
    record = NetworkRecord("n", "web", "now", "overlay", scope="swarm", pools=POOLS)
    view = snapshot.make(1, {keys.balancer("n", "a"): "192.0.2.7"})
    assert completed({"Containers": {"c1": {}}, "Labels": None}, record, view, MEMBERSHIP)["Containers"] == {"c1": {}}
