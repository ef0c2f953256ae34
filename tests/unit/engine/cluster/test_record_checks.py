"""An invalid record from the etcd store is ignored, and all other records are used."""

import pytest
from msgspec.structs import replace

from drivers.options import VNIS
from engine.cluster import keys, record_checks, snapshot
from engine.cluster.etcd import KeyValue
from engine.cluster.model import Node, SharedEndpoint
from engine.model import NetworkRecord, PoolRecord
from engine.store.codec import encode

NODE = Node("a", "now", "host", "worker", "192.0.2.1", "192.0.2.1", 1)
ENDPOINT = SharedEndpoint("e", "n", "c", "a", "02:42:00:00:00:01", "10.0.1.2/24", "fd00::2/64", ("web",), "1:2")


def test_valid_records_are_read():
    assert record_checks.read_node(keys.node("a"), encode(NODE)) == NODE
    assert record_checks.read_endpoint(keys.endpoint("n", "a", "e"), encode(ENDPOINT)) == ENDPOINT


@pytest.mark.parametrize(
    "lie",
    [
        {"id": "b"}, {"id": "../a"}, {"role": "king"}, {"index": 0}, {"index": 2**16}, {"data_address": "x"},
        {"data_address": "::"}, {"address": "239.0.0.1"}, {"wireguard_key": "AAAA"}, {"wireguard_key": "!"},
        {"data_address": "fe80::1%x]:9\nPrivateKey = a"}, {"address": "fe80::1%eth0"},
        {"wireguard_key": "A" * 42 + "B="},
        {"hostname": "a\nb"}, {"memory": -1}, {"enrollment_port": 0},
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_node_record_is_refused(lie):
    with pytest.raises(ValueError):
        record_checks.read_node(keys.node("a"), encode(replace(NODE, **lie)))


@pytest.mark.parametrize(
    "lie",
    [
        {"id": "f"}, {"node": "b"}, {"network_id": "m"}, {"mac": "01:00:5e:00:00:01"}, {"mac": "00:00:00:00:00:00"},
        {"mac": "02:42:00:00:00:0G"}, {"mac": "02:42:00:00:00:01\n"}, {"ipv4": "10.0.1.2"}, {"ipv4": "10.0.1.2/33"},
        {"ipv4": "10.0.1/24"}, {"ipv6": "fd00::2%eth0/64"}, {"ipv6": "10.0.1.2/24"}, {"names": ("",)},
        {"names": ("x" * 256,)}, {"names": ("a\x1b",)}, {"names": ("n",) * 257}, {"names": ("n" * 200,) * 50},
        {"container_id": "a/b"}, {"owner": "me"},
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_endpoint_record_is_refused(lie):
    with pytest.raises(ValueError):
        record_checks.read_endpoint(keys.endpoint("n", "a", "e"), encode(replace(ENDPOINT, **lie)))


@pytest.mark.parametrize("changes", [{"pools": (PoolRecord("x"),)}, {"options": {VNIS: "x"}}], ids=str)
def test_a_network_record_that_no_host_could_copy_is_refused(changes):
    network = NetworkRecord("n", "app", "now", "overlay")
    assert record_checks.read_network(keys.network("n"), encode(network)) == network
    with pytest.raises(ValueError):
        record_checks.read_network(keys.network("n"), encode(replace(network, **changes)))


def test_an_endpoint_id_that_is_not_hexadecimal_is_refused():
    """`network rm` computes a task's id from the id of an endpoint that a worker has reserved."""
    with pytest.raises(ValueError, match="id"):
        record_checks.check_endpoint(replace(ENDPOINT, id="zzz"))


@pytest.mark.parametrize("value", ["", "{", "[]", "null", "7", '{"id": "a"}', "[" * 100_000, "\udc80"])
def test_an_invalid_record_does_not_affect_the_others(value):
    bad = [keys.node("x"), keys.network("x"), keys.endpoint("n", "a", "x"), keys.balancer("n", "x")]
    good = {keys.node("a"): encode(NODE), keys.alive("a"): "1", keys.endpoint("n", "a", "e"): encode(ENDPOINT)}
    first = snapshot.make(1, {**good, **dict.fromkeys(bad, value)})
    then = snapshot.after(snapshot.make(1, good), 2, [KeyValue(key, value) for key in bad])
    for seen in (first, then):
        assert set(seen.unreadable()) == set(bad)
        assert list(seen.nodes) == ["a"] and seen.endpoints("n") == [ENDPOINT]
        assert not seen.networks and not seen.balancers
    mended = snapshot.after(then, 3, [KeyValue(key, "", deleted=True) for key in bad])
    assert not mended.unreadable() and mended.endpoints("n") == [ENDPOINT]


def test_an_endpoint_of_another_node_s_prefix_is_left_out():
    forged = {keys.node("a"): encode(NODE), keys.alive("a"): "1", keys.endpoint("n", "b", "e"): encode(ENDPOINT)}
    assert snapshot.make(1, forged).endpoints("n") == []
