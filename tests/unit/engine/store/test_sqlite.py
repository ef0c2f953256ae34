"""A store finds records by id, by name and by prefix, and lists them in the order of their creation."""

from __future__ import annotations

import os
import time

import pytest
from msgspec.structs import replace

from engine.errors import Unavailable
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    Event,
    HostConfig,
    ImageRecord,
    NetworkRecord,
    PortRecord,
)
from engine.store import transaction
from engine.store.api import Intent, Taken
from engine.store.codec import decode
from engine.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "state" / "hawse.db")


def network(id, name, **fields):
    return NetworkRecord(id=id, name=name, created="2024-01-01T00:00:00Z", driver="bridge", **fields)


def container(id, name):
    return ContainerRecord(id=id, name=name, created="", config=ContainerConfig(image="bb"), host=HostConfig())


def endpoint(id, *ports, network_id="n", container_id="c"):
    return EndpointRecord(id=id, network_id=network_id, container_id=container_id, mac="", ports=ports)


def port(host_ip, first, last=0, protocol="tcp"):
    last = last or first
    return PortRecord(protocol, host_ip, first, last, 80, 80 + last - first)


def put(store, *records):
    verbs = {NetworkRecord: "put_network", ContainerRecord: "put_container", EndpointRecord: "put_endpoint"}
    with store.write() as tx:
        for record in records:
            getattr(tx, verbs[type(record)])(record)


def test_a_missing_store_reads_as_empty(store):
    with store.read() as snapshot:
        assert snapshot.networks() == snapshot.containers() == snapshot.endpoints() == snapshot.images() == []
        assert snapshot.network("x") is snapshot.meta("x") is None


def test_networks_are_listed_by_creation_and_keep_their_position_when_replaced(store):
    put(store, network("c" * 64, "one"), network("a" * 64, "two"), network("b" * 64, "three"))
    put(store, network("c" * 64, "renamed", labels={"k": "v"}))
    with store.read() as snapshot:
        assert [n.name for n in snapshot.networks()] == ["renamed", "two", "three"]
        assert snapshot.network("c" * 64).labels == {"k": "v"}


def test_finding_prefers_the_full_id_then_the_name_then_the_prefix(store):
    put(store, network("ab12", "web"), network("ab34", "ab12"), network("cd56", "ab"))
    with store.read() as snapshot:
        matches = {
            r: [n.name for n in snapshot.find_networks(r)] for r in ("ab12", "ab", "ab1", "a", "", "WEB", "%", "_")
        }
    assert matches == {"ab12": ["web"], "ab": ["ab"], "ab1": ["web"], "a": ["web", "ab12"],
                     "": [], "WEB": [], "%": [], "_": []}  # fmt: skip


def test_a_container_is_found_with_a_leading_slash(store):
    put(store, container("ab12", "web"))
    with store.read() as snapshot:
        assert snapshot.find_containers("/web") == snapshot.find_containers("ab") == [snapshot.container("ab12")]


def test_names_are_unique_and_case_sensitive(store):
    put(store, network("a", "app"), network("b", "App"), container("c", "web"))
    with pytest.raises(Taken) as refused, store.write() as tx:
        tx.put_network(network("z", "app"))
    assert (refused.value.what, refused.value.value, refused.value.holder) == ("network-name", "app", "a")
    with pytest.raises(Taken) as refused, store.write() as tx:
        tx.put_container(container("z", "web"))
    assert refused.value.what == "container-name"


def test_a_name_is_free_again_once_its_holder_is_gone_or_renamed(store):
    put(store, network("a", "app"), container("c", "web"))
    with store.write() as tx:
        tx.delete_network("a")
        tx.put_network(network("b", "app"))
        tx.put_container(container("c", "old"))
        tx.put_container(container("d", "web"))


def test_an_exception_rolls_the_whole_transaction_back(store):
    with pytest.raises(KeyboardInterrupt), store.write() as tx:
        tx.put_network(network("a", "app"))
        tx.reserve_address("a/10.0.0.0/8", 1, "gateway")
        raise KeyboardInterrupt
    with store.read() as snapshot:
        assert snapshot.networks() == [] and snapshot.addresses("a/10.0.0.0/8") == []


def test_a_snapshot_does_not_see_what_is_written_meanwhile(store):
    put(store, network("a", "app"))
    with store.read() as snapshot:
        put(store, network("b", "later"))
        assert [n.name for n in snapshot.networks()] == ["app"]
    with store.read() as snapshot:
        assert len(snapshot.networks()) == 2


def test_a_stamp_is_equal_only_if_no_process_can_have_written_meanwhile(store):
    """Until Linux 6.13, two writes within one tick of the kernel's clock give a file the same time."""

    def age(seconds):
        for path in store.path.parent.iterdir():
            os.utime(path, (time.time() - seconds,) * 2)

    put(store, network("a", "a"))
    assert store.stamp() != store.stamp()
    age(60)
    stamp = store.stamp()
    assert store.stamp() == stamp
    put(store, network("b", "b"))
    age(30)
    assert store.stamp() == store.stamp() != stamp


def test_an_error_of_the_caller_passes_through_unchanged(store):
    with pytest.raises(FileNotFoundError), store.write():
        raise FileNotFoundError


def test_addresses_sort_as_numbers_in_both_families(store):
    addresses = [2**128 - 1, 2**64, 5, 2**32 - 1, 0]
    with store.write() as tx:
        for address in addresses:
            tx.reserve_address("n/fd00::/8", address, "e1")
    with store.read() as snapshot:
        assert snapshot.addresses("n/fd00::/8") == sorted(addresses)
        assert snapshot.addresses("n/fd00::/80") == []


def test_an_address_is_held_once_per_pool(store):
    with store.write() as tx:
        tx.reserve_address("n1/p", 2, "e1")
        tx.reserve_address("n1/p", 2, "e1")
        tx.reserve_address("n2/p", 2, "e2")
        with pytest.raises(Taken) as refused:
            tx.reserve_address("n1/p", 2, "e2")
        assert (refused.value.what, refused.value.holder) == ("address", "e1")
        tx.release_addresses("e1")
        tx.reserve_address("n1/p", 2, "e2")


def test_deleting_a_network_deletes_its_addresses_and_no_others(store):
    put(store, network("ab", "one"), network("abc", "two"))
    with store.write() as tx:
        for pool in ("ab/10.0.0.0/8", "ab/fd00::/64", "abc/10.0.0.0/8"):
            tx.reserve_address(pool, 1, "gateway")
        tx.delete_network("ab")
        assert [tx.addresses(p) for p in ("ab/10.0.0.0/8", "ab/fd00::/64", "abc/10.0.0.0/8")] == [[], [], [1]]


def test_deleting_a_container_deletes_its_endpoints_addresses_and_ports(store):
    put(store, container("c", "web"), endpoint("e1", port("0.0.0.0", 80)), endpoint("e2", container_id="other"))
    with store.write() as tx:
        tx.reserve_address("n/p", 2, "e1")
        tx.delete_container("c")
        assert [e.id for e in tx.endpoints()] == ["e2"]
        assert tx.addresses("n/p") == tx.ports() == []


def test_endpoints_are_found_by_network_and_container(store):
    put(store, endpoint("e1"), endpoint("e2", network_id="m"), endpoint("e3", container_id="d"))
    with store.read() as snapshot:
        assert [e.id for e in snapshot.endpoints(network_id="n")] == ["e1", "e3"]
        assert [e.id for e in snapshot.endpoints(container_id="c")] == ["e1", "e2"]
        assert [e.id for e in snapshot.endpoints(network_id="n", container_id="d")] == ["e3"]
        assert snapshot.endpoint("e2").network_id == "m"


def test_publishing_endpoints_and_existing_containers_are_found(store):
    put(store, endpoint("e1", port("0.0.0.0", 80), port("0.0.0.0", 90)), endpoint("e2"), endpoint("e3", port("::", 80)))
    with store.read() as snapshot:
        assert [e.id for e in snapshot.publishing_endpoints()] == ["e1", "e3"]
        assert not snapshot.has_containers()
    put(store, endpoint("e1"), container("c", "web"))
    with store.read() as snapshot:
        assert [e.id for e in snapshot.publishing_endpoints()] == ["e3"]
        assert snapshot.has_containers()


def test_the_records_of_publishing_endpoints_are_read_when_they_are_needed(store, monkeypatch):
    put(store, endpoint("e1", port("0.0.0.0", 80)), endpoint("e2", port("0.0.0.0", 81)))
    read = []
    monkeypatch.setattr(transaction, "decode", lambda *args: read.append(args) or decode(*args))
    with store.read() as snapshot:
        assert next(snapshot.publishing_endpoints()).id == "e1"
    assert len(read) == 1


def test_containers_with_links_and_names_of_a_networks_containers_are_found(store):
    linking = replace(container("c", "web"), host=HostConfig(links=["db:sql"]))
    put(store, linking, container("d", "db"), container("f", "far"), endpoint("e1"), endpoint("e2", container_id="d"))
    put(store, endpoint("e3", network_id="m", container_id="f"), endpoint("e4", container_id="gone"))
    with store.read() as snapshot:
        assert [c.name for c in snapshot.containers(with_links=True)] == ["web"]
        assert snapshot.container_names("n") == {"c": "web", "d": "db"}
    put(store, replace(linking, host=HostConfig()))
    with store.read() as snapshot:
        assert snapshot.containers(with_links=True) == []


def test_the_ports_of_all_endpoints_are_listed(store):
    first, second = port("0.0.0.0", 80), port("::", 90, 95)
    put(store, endpoint("e1", first), endpoint("e2", second))
    with store.read() as snapshot:
        assert snapshot.ports() == [first, second]


def test_an_endpoint_may_change_its_ports_and_keep_some(store):
    put(store, endpoint("e1", port("0.0.0.0", 80), port("0.0.0.0", 81)))
    put(store, endpoint("e1", port("0.0.0.0", 81), port("0.0.0.0", 82)))
    put(store, endpoint("e2", port("0.0.0.0", 80)))
    with pytest.raises(Taken, match=r"^port 0\.0\.0\.0:82 is taken by e1$"):
        put(store, endpoint("e2", port("0.0.0.0", 82)))


def test_images_intents_and_meta_are_kept(store):
    image = ImageRecord(id="sha256:1", references=("bb:latest",), created="", size=1, rootfs="/r")
    with store.write() as tx:
        tx.put_image(image)
        tx.put_image(replace(image, size=2))
        tx.put_intent(Intent("network-create", "n", "1:1"))
        tx.put_intent(Intent("container-start", "c", "1:1"))
        tx.put_intent(Intent("network-create", "n", "2:2"))
        tx.set_meta("cursor", "172.18.0.0/16")
        tx.set_meta("cursor", "172.19.0.0/16")
    with store.read() as snapshot:
        assert [i.size for i in snapshot.images()] == [2]
        assert snapshot.intents() == [Intent("network-create", "n", "2:2"), Intent("container-start", "c", "1:1")]
        assert snapshot.meta("cursor") == "172.19.0.0/16"
    with store.write() as tx:
        tx.delete_image("sha256:1")
        tx.delete_intent("network-create", "n")
        assert tx.images() == [] and len(tx.intents()) == 1


def test_on_a_full_disk_each_event_replaces_the_ten_oldest(store, monkeypatch):
    monkeypatch.setattr(SqliteStore, "_objection", lambda _: None)
    with store.write() as tx:
        for _ in range(40):
            tx.put_event(Event("network", "create", "a"))
    monkeypatch.setattr(SqliteStore, "_objection", lambda _: Unavailable("the disk is full"))
    kept = []
    for _ in range(3):
        with store.write() as tx:
            tx.put_event(Event("network", "create", "a"))
        with store.read() as reader:
            kept.append([event.number for event in reader.events()])
    assert kept == [list(range(11, 42)), list(range(21, 43)), list(range(23, 44))], "at least 20 old events remain"


def test_bytes_that_are_no_text_are_kept_as_replacement_characters(store):
    typed = os.fsdecode(b"n\xff")
    put(store, network("ab12", typed, labels={typed: "caf\u00e9"}))
    with store.read() as snapshot:
        (stored,) = snapshot.find_networks(typed)
    assert (stored.name, stored.labels) == ("n\ufffd", {"n\ufffd": "caf\u00e9"})
    with pytest.raises(Taken):
        put(store, network("cd34", typed))


def test_ports_are_written_when_they_change_and_only_then(store):
    held = endpoint("e" * 64, port("0.0.0.0", 80), port("::", 80))
    put(store, held)
    with store.write() as tx:
        before = tx._connection.total_changes
        tx.put_endpoint(replace(held, phase="live"))
        assert tx._connection.total_changes == before + 1
        tx.put_endpoint(replace(held, ports=held.ports[::-1]))
        assert tx.ports() == list(held.ports[::-1])
        tx.put_endpoint(replace(held, ports=()))
        assert tx.ports() == []


def test_the_first_conflicting_port_is_named(store):
    put(store, endpoint("a" * 64, port("127.0.0.1", 70, 75), port("0.0.0.0", 90)))
    with pytest.raises(Taken) as taken:
        put(store, endpoint("b" * 64, port("0.0.0.0", 60), port("0.0.0.0", 72), port("0.0.0.0", 90)))
    assert (taken.value.value, taken.value.holder) == ("0.0.0.0:72", "a" * 64)
