"""A store with a cache keeps the records that it has read, and later reads only the records that have changed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.errors import Damaged
from engine.model import NetworkRecord
from engine.store import codec, schema, sqlite
from engine.store.record_cache import RecordCache
from engine.store.sqlite import SqliteStore


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Return a list that records each JSON document that the store decodes."""
    documents: list[str] = []
    original = codec.decode

    def decode(kind, document):
        documents.append(document)
        return original(kind, document)

    monkeypatch.setattr(codec, "decode", decode)
    return documents


@pytest.fixture
def store(tmp_path) -> SqliteStore:
    return SqliteStore(tmp_path / "hawse.db", recall=RecordCache())


def networks(store: SqliteStore) -> list[NetworkRecord]:
    with store.read() as reader:
        return reader.networks()


def network(number: int) -> NetworkRecord:
    return NetworkRecord(f"{number:064x}", f"n{number}", "2026-01-02T03:04:05Z", "bridge")


def put(store: SqliteStore, *records: NetworkRecord) -> None:
    with store.write() as tx:
        for record in records:
            tx.put_network(record)


def test_only_records_that_have_changed_are_read_again(store, decoded):
    records = [network(number) for number in (3, 1, 2)]
    put(store, *records)
    first = networks(store)
    assert first == records, "in the order of creation"
    assert [after is before for after, before in zip(networks(store), first, strict=True)] == [True] * 3
    assert len(decoded) == 3
    records[1] = replace(records[1], internal=True)
    put(store, records[1])
    assert networks(store) == records
    assert len(decoded) == 4


def test_deleted_and_created_records_are_noticed(store):
    put(store, network(1), network(2))
    networks(store)
    with store.write() as tx:
        tx.delete_network(network(1).id)
        tx.put_network(network(3))
    assert networks(store) == [network(2), network(3)]
    with store.write() as tx:
        tx.delete_network(network(2).id)
        tx.put_network(replace(network(2), internal=True))
    assert networks(store) == [network(3), replace(network(2), internal=True)]


def test_records_of_an_earlier_schema_are_noticed_when_they_change(store, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:4])
        earlier.setattr(schema, "VERSION", 4)
        with store.write() as tx:
            tx._execute(
                "INSERT INTO networks (id, name, body, driver, phase, predefined, with_options)"
                "VALUES (?, 'n1', ?, 'bridge', 'live', 0, 0)",
                network(1).id,
                codec.encode(network(1)),
            )
    sqlite.close_idle()
    assert networks(store) == [network(1)]
    put(store, replace(network(1), internal=True))
    assert networks(store) == [replace(network(1), internal=True)]


def test_a_damaged_record_is_reported_in_each_reading(store):
    put(store, network(1), network(2))
    networks(store)
    with store.write() as tx:
        tx._execute("UPDATE networks SET body = '{', revision = 7 WHERE name = 'n1'")
    for _ in range(2):
        with pytest.raises(Damaged):
            networks(store)
    put(store, network(1))
    assert networks(store) == [network(1), network(2)]
