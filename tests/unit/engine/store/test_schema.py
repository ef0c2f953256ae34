"""The tests check the store's files: their modes, damage, other versions and missing rights.

Each failure gives one clear error line.
"""

from __future__ import annotations

import os
import sqlite3
import stat

import pytest

from engine.errors import Damaged, PermissionDenied, Unavailable
from engine.model import ContainerConfig, ContainerRecord, HostConfig, NetworkRecord
from engine.store import schema, sqlite
from engine.store.codec import encode
from engine.store.sqlite import SqliteStore

FIRST_COLUMNS = "id, name, body, driver, phase, predefined, with_options"
"""The columns that the networks' table had in the first version of the schema."""


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "root" / "hawse.db", busy_seconds=0.1)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def touch(store):
    """Write to the store, as another command could do between two steps of a test."""
    with store.write() as tx:
        tx.set_meta("key", "value")
    sqlite.close_idle()


def complaint(store, error):
    with pytest.raises(error) as raised, store.read():
        pass
    assert "\n" not in str(raised.value) and str(store.path) in str(raised.value)
    return str(raised.value)


def test_files_are_private_whatever_the_umask(store):
    before = os.umask(0)
    try:
        with store.write() as tx:
            tx.set_meta("key", "value")
            assert {p.name: mode(p) for p in store.path.parent.iterdir()} == dict.fromkeys(
                ["hawse.db", "hawse.db-wal", "hawse.db-shm"], 0o600
            )
    finally:
        os.umask(before)
    assert mode(store.path.parent) == 0o700


def test_an_existing_directory_keeps_its_mode(store):
    store.path.parent.mkdir(mode=0o755)
    os.chmod(store.path.parent, 0o755)
    touch(store)
    assert mode(store.path.parent) == 0o755


def test_a_store_removed_between_two_transactions_reads_as_empty(store):
    touch(store)
    for path in store.path.parent.iterdir():
        path.unlink()
    store.path.parent.rmdir()
    with store.read() as snapshot:
        assert snapshot.meta("key") is None


def test_a_store_that_may_not_be_read_raises_permission_denied(store):
    touch(store)
    os.chmod(store.path.parent, 0o000)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setuid(65534)
            with store.read():
                pass
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    os.chmod(store.path.parent, 0o700)
    with os.fdopen(reader) as answer:
        assert answer.read() == (
            f"PermissionDenied: permission denied while opening the store {store.path}: are you root?"
        )
    assert PermissionDenied.exit_code == 1


def test_a_file_in_place_of_the_directory_is_unavailable(tmp_path):
    (tmp_path / "root").write_text("")
    assert "cannot be opened: not a directory" in complaint(SqliteStore(tmp_path / "root" / "hawse.db"), Unavailable)


def test_a_damaged_file_is_unavailable(store):
    store.path.parent.mkdir()
    store.path.write_bytes(b"no database at all " * 100)
    assert complaint(store, Damaged) == (
        f"the store {store.path} is damaged: not a database (run: hawse system check --repair)"
    )


def test_damage_within_the_tables_is_unavailable(store):
    touch(store)
    edit(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(store.path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    store.path.write_bytes(data)
    with pytest.raises(Unavailable, match="is damaged"), store.read() as snapshot:
        snapshot.networks()


def test_a_record_of_another_shape_is_unavailable(store):
    touch(store)
    edit(store, "INSERT INTO images (id, body) VALUES ('a', '{}')")
    damaged = "is damaged: ImageRecord: Object missing required field `id`"
    with pytest.raises(Unavailable, match=damaged), store.read() as snapshot:
        snapshot.images()


def edit(store, statement, *values):
    connection = sqlite3.connect(store.path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_a_newer_schema_is_refused_and_not_changed(store):
    touch(store)
    edit(store, f"PRAGMA user_version = {schema.VERSION + 1}")
    before = store.path.read_bytes()
    assert "was written by a newer version of hawse" in complaint(store, Unavailable)
    assert store.path.read_bytes() == before


def test_an_older_schema_is_upgraded_with_its_contents(store, monkeypatch):
    touch(store)
    later = (*schema.MIGRATIONS, "CREATE TABLE more (x TEXT); INSERT INTO more VALUES ('new')")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "VERSION", len(later))
    with store.read() as snapshot:
        assert snapshot.meta("key") == "value"
    connection = sqlite3.connect(store.path)
    assert connection.execute("SELECT x FROM more").fetchall() == [("new",)]
    connection.close()


def test_the_schema_fits_on_the_first_page_so_that_damage_elsewhere_leaves_all_other_records(store):
    touch(store)
    with open(store.path, "rb") as file:
        page = file.read(4096)
    leaf = 13  # https://sqlite.org/fileformat.html#b_tree_pages
    assert page[100] == leaf


def test_networks_of_the_first_schema_are_listed_like_new_ones(store, monkeypatch):
    names = ["n10", "n2", "网络", "01", "it's", "n02"]
    networks = [NetworkRecord(str(n), name, "", "bridge") for n, name in enumerate(names)]
    networks.append(NetworkRecord("wide", "wide", "", "overlay", scope="swarm", predefined=True, phase="planned"))
    with store.write() as tx:
        for network in networks:
            tx.put_network(network)
        made_since = tx.network_summaries(("live", "planned"))
        rows = tx._connection.execute(f"SELECT {FIRST_COLUMNS} FROM networks").fetchall()
    sqlite.close_idle()
    for path in store.path.parent.iterdir():
        path.unlink()
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        earlier.setattr(schema, "VERSION", 1)
        touch(store)
        for row in rows:
            edit(store, f"INSERT INTO networks ({FIRST_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
    with store.read() as snapshot:
        assert snapshot.network_summaries(("live", "planned")) == made_since
        assert snapshot.networks() == networks


def test_links_of_containers_of_an_earlier_schema_are_found(store, monkeypatch):
    plain = ContainerRecord("a", "plain", "", ContainerConfig("bb"), HostConfig())
    linking = ContainerRecord("b", "linking", "", ContainerConfig("bb"), HostConfig(links=["plain:db"]))
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:2])
        earlier.setattr(schema, "VERSION", 2)
        touch(store)
        for record in (plain, linking):
            edit(
                store,
                "INSERT INTO containers (id, name, body) VALUES (?, ?, ?)",
                record.id,
                record.name,
                encode(record),
            )
    with store.read() as snapshot:
        assert [c.name for c in snapshot.containers()] == ["plain", "linking"]
        assert [c.name for c in snapshot.containers(with_links=True)] == ["linking"]


def test_a_writer_waits_a_limited_time_for_the_lock_and_readers_do_not_wait(store):
    with store.write() as tx:
        tx.set_meta("key", "other")
        with pytest.raises(Unavailable, match=r"is locked by another command: process \d+"):
            touch(store)
        with store.read() as snapshot:
            assert snapshot.meta("key") is None


def test_a_full_disk_is_unavailable(store):
    touch(store)
    with pytest.raises(Unavailable, match=r"the disk is full$"), store.write() as tx:
        tx._connection.execute("PRAGMA max_page_count = 1")
        tx.set_meta("key", "x" * 100_000)
    with store.read() as snapshot:
        assert snapshot.meta("key") == "value"
