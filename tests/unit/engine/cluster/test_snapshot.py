from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from engine.cluster import keys, snapshot
from engine.cluster.etcd import KeyValue
from engine.cluster.model import Node, SharedEndpoint
from engine.store.codec import encode


def node(identity):
    return encode(Node(identity, "now", identity, "worker", "192.0.2.1", "192.0.2.1", 1))


def endpoint(identity, where):
    return SharedEndpoint(identity, "n1", "c", where, "02:42:00:00:00:01", "10.0.1.2/24")


def start():
    values = {
        keys.node("a"): node("a"),
        keys.alive("a"): "1",
        keys.node("b"): node("b"),
        keys.endpoint("n1", "a", "e1"): encode(endpoint("e1", "a")),
        keys.endpoint("n1", "b", "e2"): encode(endpoint("e2", "b")),
    }
    return snapshot.make(5, values)


def test_endpoints_of_hosts_without_a_lease_are_left_out_and_come_back_with_it():
    first = start()
    assert [e.id for e in first.endpoints("n1")] == ["e1"]
    back = snapshot.after(first, 6, [KeyValue(keys.alive("b"), "1")])
    assert [e.id for e in back.endpoints("n1")] == ["e1", "e2"]
    assert [e.id for e in back.endpoints_on_other_hosts("n1", "a")] == ["e2"]
    assert [e.id for e in first.endpoints("n1")] == ["e1"], "a view never changes"


def test_a_former_endpoint_keeps_its_address_and_is_no_peer():
    former = KeyValue(keys.endpoint("n1", "a", "e1"), encode(replace(endpoint("e1", "a"), former=True)))
    after = snapshot.after(start(), 6, [former])
    assert after.endpoints_on_other_hosts("n1", "b") == []
    assert ip_address("10.0.1.2") in after.addresses("n1")


def test_events_add_and_remove_endpoints():
    new = KeyValue(keys.endpoint("n1", "a", "e3"), encode(endpoint("e3", "a")))
    gone = KeyValue(keys.endpoint("n1", "a", "e1"), "", deleted=True)
    assert [e.id for e in snapshot.after(start(), 6, [new, gone]).endpoints("n1")] == ["e3"]


def test_a_saved_snapshot_is_loaded_unchanged(tmp_path):
    (tmp_path / "cluster").mkdir()
    snapshot.save(tmp_path, start())
    again = snapshot.saved(tmp_path)
    assert again.revision == 5 and again.values == dict(start().values)
    assert [e.id for e in again.endpoints("n1")] == ["e1"]


@pytest.mark.parametrize(
    "text",
    [
        '{"revision": 5', "[]", "{}", '{"revision": 1, "values": []}', '{"revision": null, "values": {}}',
        '{"revision": 1, "values": {"/hawse/shared/alive/a": 1}}', "[" * 100_000, "\xff",
    ],
)  # fmt: skip
def test_a_damaged_saved_snapshot_is_ignored(tmp_path, text):
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "view.json").write_text(text, encoding="latin-1")
    assert snapshot.saved(tmp_path) is None
