"""What a host's operations write, and how a manager limits the records of a worker, because every host stores them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from engine.cluster import keys, node_operations
from engine.cluster.etcd import KeyValue
from engine.cluster.model import AdmittedHost, Node, SharedEndpoint
from engine.errors import Forbidden, InvalidArgument, Unavailable
from engine.model import NetworkRecord, PoolRecord
from engine.store.codec import decode, encode

WORKER = AdmittedHost("w", "worker", 3)
IPV6 = PoolRecord("fd00::/64", gateway="fd00::1")
NETWORK = NetworkRecord(
    "n", "app", "now", "overlay", attachable=True, pools=(PoolRecord("10.0.1.0/24", gateway="10.0.1.1"), IPV6)
)
ENDPOINT = SharedEndpoint("e", "n", "c", "w", "02:42:00:00:00:01", "10.0.1.2/24", names=("web",))
LONG_NAMES = tuple(f"{number}{'x' * 200}" for number in range(3))


class Result:
    succeeded = True


class Store:
    """An etcd client double that holds one network, and at most one node and one endpoint.

    The worker already has ``number`` endpoints on the network.
    """

    def __init__(
        self, number: int = 0, network: NetworkRecord = NETWORK, node: Node | None = None, endpoint: str = ""
    ) -> None:
        self.number, self.changes = number, []
        self.records = {keys.network("n"): encode(network)}
        if endpoint:
            self.records[keys.endpoint("n", "w", "e")] = endpoint
        if node is not None:
            self.records[keys.node(node.id)] = encode(node)

    def get(self, key):
        return KeyValue(key, self.records[key]) if key in self.records else None

    def count(self, _prefix):
        return self.number

    def read_all(self, *wanted):
        return [self.get(key) if key == keys.endpoint("n", "w", "e") else None for key in wanted]

    def transact(self, _conditions, changes):
        self.changes += changes
        return Result


def restore(store: Store, **changes) -> object:
    arguments = {"endpoint": encode(replace(ENDPOINT, **changes))}
    return node_operations.ACTS["restore"](store, WORKER, arguments)


def test_an_endpoint_without_an_ipv4_address_is_restored_only_on_a_network_without_ipv4():
    """The IPv4 pool limits the number of endpoints. An endpoint without IPv6 on an IPv6 network has no address."""
    store = Store()
    for ipv6 in ("", "fd00::2/64"):
        with pytest.raises(InvalidArgument, match="endpoint e on network app has no IPv4 address"):
            restore(store, ipv4="", ipv6=ipv6)
    assert store.changes == []
    assert restore(store) == {"done": True}
    assert restore(Store(network=replace(NETWORK, pools=(IPV6,))), ipv4="") == {"done": True}


def test_a_release_that_conflicts_each_time_is_reported():
    """Otherwise the caller would believe that the addresses are free."""
    store = Store()
    store.records[keys.endpoint("n", "w", "e")] = encode(ENDPOINT)
    store.transact = lambda *_: SimpleNamespace(succeeded=False)
    with pytest.raises(Unavailable, match="the cluster's store is too busy"):
        node_operations.ACTS["release"](store, WORKER, {"network": "n", "endpoint": "e"})


def test_a_host_gets_no_own_address_on_a_network_without_a_subnet():
    """A host asks for its address on the ingress network while it joins."""
    store = Store(network=replace(NETWORK, pools=(), ingress=True))
    assert node_operations.ACTS["balancer"](store, WORKER, {"network": "n"}) == {"address": ""}
    assert store.changes == []


def test_only_the_first_endpoints_of_a_worker_may_have_long_names():
    assert restore(Store(999), names=LONG_NAMES) == {"done": True}
    assert restore(Store(1000)) == {"done": True}
    with pytest.raises(Forbidden, match="node w has too many endpoints with long names on network app"):
        restore(Store(1000), names=LONG_NAMES)
    with pytest.raises(Forbidden, match="node w has too many endpoints on network app"):
        restore(Store(20_000))


def test_an_endpoint_that_is_one_of_the_most_can_still_be_changed():
    def store(number):
        return Store(number, endpoint=encode(replace(ENDPOINT, names=LONG_NAMES)))

    assert restore(store(20_000), former=True) == {"done": True}
    assert restore(store(5000), names=LONG_NAMES, former=True) == {"done": True}
    with pytest.raises(Forbidden, match="node w has too many endpoints with long names on network app"):
        restore(store(5000), names=(*LONG_NAMES, "another"))


@pytest.mark.parametrize("role", ["worker", "manager"])
def test_a_host_that_leaves_loses_its_role_and_its_tunnel_key(role):
    key = b64encode(bytes(32)).decode()
    store = Store(node=Node("w", "now", "host", role, "192.0.2.1", "192.0.2.1", 3, wireguard_key=key))
    node_operations.ACTS["leave"](store, replace(WORKER, role=role), {})
    (written,) = (change["request_put"] for change in store.changes if "request_put" in change)
    assert b64decode(written["key"]).decode() == keys.node("w")
    left = decode(Node, b64decode(written["value"]).decode())
    assert (left.role, left.wireguard_key) == ("worker", "")
