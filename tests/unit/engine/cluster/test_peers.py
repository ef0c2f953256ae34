"""Which endpoints of other hosts become peers, and the addresses to which VXLAN packets for a peer go."""

from ipaddress import ip_address

from engine.cluster import keys, peers, snapshot
from engine.cluster.model import Node, SharedEndpoint
from engine.store.codec import encode

OWN = "192.0.2.1"


def view(*addresses):
    """Return a snapshot of nodes with these underlay addresses; each node has one endpoint on the network n."""
    values = {}
    for index, address in enumerate(addresses, 1):
        node = f"n{index}"
        endpoint = SharedEndpoint(f"e{index}", "n", "c", node, f"02:42:00:00:00:0{index}", f"10.0.1.{index}/24")
        values[keys.node(node)] = encode(Node(node, "now", node, "worker", address, address, index))
        values[keys.alive(node)] = "1"
        values[keys.endpoint("n", node, endpoint.id)] = encode(endpoint)
    return snapshot.make(1, values)


def test_hosts_with_the_own_address_or_another_ip_version_have_no_peers():
    known = peers.of(view(OWN, "192.0.2.2", OWN, "2001:db8::1"), "n", "n1")
    assert [p.endpoint_id for p in known] == ["e2"]
    known = peers.of(view("2001:db8::1", "192.0.2.2", "2001:db8::2"), "n", "n1")
    assert [p.endpoint_id for p in known] == ["e3"]


def test_hosts_with_the_same_underlay_address_have_different_tunnel_addresses():
    known = peers.of(view(OWN, "192.0.2.2", "192.0.2.2"), "n", "n1")
    assert [(p.endpoint_id, p.tunnel) for p in known] == [
        ("e2", ip_address("100.127.0.2")),
        ("e3", ip_address("100.127.0.3")),
    ]
