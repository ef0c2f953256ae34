"""A store keeps the records that it has decoded, and later decodes only the records that have changed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.model import NetworkRecord
from engine.store import codec
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


def networks(store: SqliteStore) -> list[NetworkRecord]:
    with store.read() as reader:
        return reader.networks()


def test_records_that_have_not_changed_are_not_decoded_again(tmp_path, decoded):
    store = SqliteStore(tmp_path / "hawse.db", recall=codec.DecodeCache())
    records = [NetworkRecord(f"{n:064x}", f"n{n}", "2026-01-02T03:04:05Z", "bridge") for n in range(3)]
    with store.write() as tx:
        for record in records:
            tx.put_network(record)
    assert networks(store) == records
    assert len(decoded) == 3
    assert networks(store) == records
    assert len(decoded) == 3
    records[1] = replace(records[1], internal=True)
    with store.write() as tx:
        tx.put_network(records[1])
    assert networks(store) == records
    assert len(decoded) == 4


def test_documents_that_later_transactions_do_not_read_leave_the_cache(tmp_path, decoded):
    store = SqliteStore(tmp_path / "hawse.db", recall=codec.DecodeCache())
    record = NetworkRecord("1" * 64, "n", "2026-01-02T03:04:05Z", "bridge")
    with store.write() as tx:
        tx.put_network(record)
    networks(store)
    for _ in range(2):
        with store.read() as reader:
            reader.containers()
    assert networks(store) == [record]
    assert len(decoded) == 2
