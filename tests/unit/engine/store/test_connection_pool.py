"""A process opens its store once, and keeps the connection in a pool.

The process never uses a connection that another process opened or that belongs to a replaced store file.
"""

from __future__ import annotations

import os
import sqlite3

import pytest

from engine.model import NetworkRecord
from engine.store import sqlite, store_file
from engine.store.sqlite import SqliteStore


@pytest.fixture
def opened(monkeypatch):
    """Return a list that gets the path of each store connection that is opened after this call.

    A connection that creates the store's file is not in the list.
    """
    sqlite.close_idle()
    made, connect = [], sqlite3.connect

    def noted(path, **keywords):
        made.extend([path] if not str(path).endswith(store_file.NEW) else [])
        return connect(path, **keywords)

    monkeypatch.setattr(sqlite3, "connect", noted)
    return made


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "hawse.db")


def put(store, name, options=()):
    with store.write() as tx:
        tx.put_network(NetworkRecord(name, name, "", "bridge", options=dict(options)))


def names(store):
    with store.read() as snapshot:
        return [n.name for n in snapshot.networks()]


def test_store_objects_of_one_path_share_one_connection(opened, store):
    for number in range(5):
        put(SqliteStore(store.path), f"n{number}")
        assert len(names(store)) == number + 1
    assert len(opened) == 1


def test_a_transaction_inside_another_has_its_own_snapshot(opened, store):
    put(store, "one")
    with store.read() as outer:
        put(store, "two")
        assert (len(outer.networks()), len(names(store))) == (1, 2)
    assert len(opened) == 2


def test_a_failed_transaction_is_not_left_open(store):
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        tx.set_meta("key", "value")
        raise ZeroDivisionError
    put(SqliteStore(store.path, busy_seconds=0.1), "free")
    assert names(store) == ["free"]


def test_a_replaced_store_file_is_noticed(store, tmp_path):
    put(store, "old")
    for file in tmp_path.iterdir():
        file.rename(tmp_path / f"moved-{file.name}")
    assert names(store) == []
    put(store, "new")
    assert names(store) == ["new"]


def test_a_forked_child_opens_its_own_connection(store):
    """A forked child opens its own connection to the store.

    With its parent's connection, SQLite would treat the parent's locks as the child's.
    """
    put(store, "parent")
    child = os.fork()
    if child == 0:
        os._exit(0 if not sqlite._idle and names(store) == ["parent"] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_no_two_threads_get_the_same_connection(store):
    put(store, "one")
    kept = sqlite.connection_key(store.path, store.busy_seconds)
    taken = []

    class Path(type(store.path)):
        def __eq__(self, other):
            taken.append(sqlite.take_idle(kept))  # this takes the connection meanwhile, as a second thread could
            return True

        __hash__ = None

    taken.append(sqlite.take_idle(kept._replace(path=Path(store.path))))
    assert [connection is None for connection in sorted(taken, key=bool)] == [True, False]
    sqlite.keep_idle(kept, next(filter(None, taken)))


def test_a_process_keeps_few_idle_connections(opened, tmp_path):
    for number in range(3 * sqlite.IDLE_LIMIT):
        put(SqliteStore(tmp_path / str(number)), "n")
    assert len(sqlite._idle) == sqlite.IDLE_LIMIT


def test_the_log_stays_short_however_the_processes_end(store, monkeypatch):
    monkeypatch.setattr(sqlite, "LOG_SIZE", 1 << 16)
    monkeypatch.setattr(sqlite, "RESERVE", 1 << 12)
    log, sizes = f"{store.path}-wal", []
    for number in range(20):
        child = os.fork()
        if child == 0:
            put(store, f"n{number}", {"text": "x" * 5000})
            os._exit(0)  # end without closing a connection, as a command in the warm server does
        assert os.waitpid(child, 0)[1] == 0
        sizes.append(os.stat(log).st_size)
    assert max(sizes) < 2 * sqlite.LOG_SIZE and sqlite.RESERVE in sizes
    assert len(names(store)) == 20


def test_a_log_in_use_by_a_reader_is_shortened_by_a_later_writer(store, monkeypatch):
    monkeypatch.setattr(sqlite, "LOG_SIZE", 0)
    put(store, "one")
    with store.read() as reader:
        put(store, "two")  # the write does not wait for the reader and does not fail
        assert len(reader.networks()) == 1
    put(store, "three")
    assert os.stat(f"{store.path}-wal").st_size == sqlite.RESERVE
    assert names(store) == ["one", "two", "three"]
