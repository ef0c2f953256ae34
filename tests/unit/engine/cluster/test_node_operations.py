"""A manager limits the records that a worker can write, because every host stores them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.cluster import keys, node_operations
from engine.cluster.etcd import KeyValue
from engine.cluster.model import AdmittedHost, SharedEndpoint
from engine.errors import Forbidden, InvalidArgument
from engine.model import NetworkRecord, PoolRecord
from engine.store.codec import encode

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
    """An etcd client double that holds one network; the worker already has ``number`` endpoints on it."""

    def __init__(self, number: int = 0, network: NetworkRecord = NETWORK) -> None:
        self.number, self.network, self.changes = number, network, []

    def get(self, key):
        return KeyValue(key, encode(self.network)) if key == keys.network("n") else None

    def count(self, _prefix):
        return self.number

    def read_all(self, *wanted):
        return [None] * len(wanted)

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


def test_only_the_first_endpoints_of_a_worker_may_have_long_names():
    assert restore(Store(999), names=LONG_NAMES) == {"done": True}
    assert restore(Store(1000)) == {"done": True}
    with pytest.raises(Forbidden, match="node w has too many endpoints with long names on network app"):
        restore(Store(1000), names=LONG_NAMES)
    with pytest.raises(Forbidden, match="node w has too many endpoints on network app"):
        restore(Store(20_000))
