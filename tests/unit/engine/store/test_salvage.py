"""The tests damage the files of a store: truncation, overwritten pages, a deleted log, bad records, another schema.

Each damage is reported at once with the repair command, and the readable rows are read.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import ExitStack
from unittest.mock import Mock

import pytest

from engine.errors import Damaged, Unavailable
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, NetworkRecord
from engine.store import backup, rescue, salvage, schema, sqlite, store_file
from engine.store.sqlite import SqliteStore
from tests.conftest import loaded

NUMBER = 60  # number of networks, of containers and of endpoints; their rows fill several pages


def network(name):
    return NetworkRecord(id=name * 8, name=name, created="", driver="bridge", options={"text": "x" * 300})


def container(name):
    config = ContainerConfig(image="bb", env=[f"TEXT={'y' * 300}"])
    return ContainerRecord(id=name * 8, name=name, created="", config=config, host=HostConfig())


def fill(store):
    with store.write() as tx:
        for number in range(NUMBER):
            tx.put_network(network(f"net{number:04}"))
            tx.put_container(container(f"con{number:04}"))
            tx.put_endpoint(EndpointRecord(f"end{number}", f"net{number:04}" * 8, f"con{number:04}" * 8, mac=""))
        tx.set_meta("key", "value")


@pytest.fixture
def store(tmp_path):
    """Return a store whose records are all in its database file, and none in its log (WAL)."""
    store = SqliteStore(tmp_path / "root" / "hawse.db")
    fill(store)
    edit(store.path, "PRAGMA wal_checkpoint(TRUNCATE)")
    sqlite.close_idle()
    store_file.remove_beside(store.path)
    return store


@pytest.fixture
def logged(tmp_path):
    """Return a store whose records are all in its log (WAL), because no process has moved them to the file yet."""
    used = SqliteStore(tmp_path / "used" / "hawse.db")
    fill(used)
    (tmp_path / "root").mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{used.path}{suffix}", tmp_path / "root" / f"hawse.db{suffix}")
    sqlite.close_idle()
    return SqliteStore(tmp_path / "root" / "hawse.db")


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def edit(path, statement, *values):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values).fetchall()
    connection.close()


def overwrite(path, start, data):
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(data)


def read(path, scratch):
    with ExitStack() as opened:
        return salvage.read_store(path, scratch, opened)


def names(salvaged, table):
    return sorted(record.name for record in salvaged.records[table].values())


def complaint(store):
    began = time.monotonic()
    with pytest.raises(Damaged) as raised, store.write() as tx:
        tx.networks()
        tx.containers()
    assert time.monotonic() - began < loaded(1)
    assert str(raised.value).endswith("(run: hawse system check --repair)") and str(store.path) in str(raised.value)
    return raised.value.reason.partition("hawse.db ")[2]


def everything(table):
    return [f"{table[:3]}{number:04}" for number in range(NUMBER)]


def test_an_empty_file_is_damaged_and_its_log_is_kept(logged, scratch):
    overwrite(logged.path, 0, b"")
    with open(logged.path, "r+b") as file:
        file.truncate(0)
    assert complaint(logged) == "is damaged: it is empty"
    assert not backup.make(logged.path)
    with sqlite.open_readonly(logged.path) as reader:
        assert reader is None
    salvaged = read(logged.path, scratch)
    assert names(salvaged, "containers") == everything("containers")
    assert names(salvaged, "networks") == everything("networks")


def test_a_deleted_file_is_reported_as_missing_and_its_log_is_read(logged, scratch):
    logged.path.unlink()
    assert complaint(logged) == "is missing, but the log of it exists"
    assert names(read(logged.path, scratch), "containers") == everything("containers")


def test_a_log_without_the_first_page_is_read_too(tmp_path, scratch):
    """SQLite writes the file's first page to the log only when the file grows. The log of this test lacks the page."""
    used = SqliteStore(tmp_path / "hawse.db")
    with used.write() as tx:
        tx.put_network(network("net0000"))
        tx.put_container(container("con0000"))
    assert salvage._first_page_of_log(tmp_path / "hawse.db-wal") is None
    with open(used.path, "r+b") as file:
        file.truncate(0)
    salvaged = read(used.path, scratch)
    assert (names(salvaged, "networks"), names(salvaged, "containers")) == (["net0000"], ["con0000"])


@pytest.mark.parametrize("length", [16, 100, 4096])
def test_a_file_whose_beginning_is_overwritten_is_read(store, scratch, length):
    overwrite(store.path, 0, b"\xa5" * length)
    assert complaint(store).startswith("is damaged: ")
    salvaged = read(store.path, scratch)
    assert names(salvaged, "containers") == everything("containers")
    assert salvaged.broken == set(salvage.TABLES) and salvaged.problems


def test_pages_that_are_overwritten_cost_only_their_rows(store, scratch):
    size = store.path.stat().st_size
    overwrite(store.path, size // 2 // 4096 * 4096, b"\xff" * 8192)
    salvaged = read(store.path, scratch)
    recovered = (
        len(names(salvaged, "containers")) + len(names(salvaged, "networks")) + len(salvaged.records["endpoints"])
    )
    assert recovered > 3 * NUMBER - 40 and salvaged.problems


def test_a_file_that_was_cut_off_is_damaged_and_read(store, scratch):
    with open(store.path, "r+b") as file:
        file.truncate(store.path.stat().st_size * 2 // 3 // 4096 * 4096)
    complaint(store)
    salvaged = read(store.path, scratch)
    assert len(names(salvaged, "containers")) + len(names(salvaged, "networks")) > NUMBER // 3


def test_only_the_unreadable_record_is_lost_and_it_is_reported(store, scratch):
    edit(store.path, "UPDATE containers SET body = '{\"id\":' WHERE name = 'con0007'")
    assert "is damaged: ContainerRecord" in complaint(store)
    salvaged = read(store.path, scratch)
    assert names(salvaged, "containers") == [n for n in everything("containers") if n != "con0007"]
    assert (salvaged.broken, salvaged.lost["containers"]) == (set(), {"con0007" * 8})


def test_a_newer_schema_is_read(store, scratch):
    edit(store.path, f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(Unavailable, match=r"newer version of hawse.*run: hawse system check --repair"), store.read():
        pass
    salvaged = read(store.path, scratch)
    assert names(salvaged, "containers") == everything("containers") and len(salvaged.problems) == 1


def test_a_table_that_is_missing_is_damage(store):
    edit(store.path, "DROP TABLE containers")
    assert complaint(store) == "is damaged: no such table: containers"


def test_a_sound_store_has_no_problems(store, scratch):
    salvaged = read(store.path, scratch)
    assert (salvaged.problems, salvaged.broken, salvaged.meta) == ([], set(), {"key": "value"})


# ------------------------------------------------------------------------------------------------ backup


def test_the_backup_is_one_file_with_everything_and_only_of_a_sound_store(store):
    assert backup.make(store.path)
    kept = backup.path_of(store.path)
    assert names(salvage.read_file(kept), "containers") == everything("containers")
    assert [p.name for p in store.path.parent.iterdir() if "backup" in p.name] == ["hawse.db.backup"]
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.read_bytes()
    edit(store.path, "UPDATE containers SET body = '{' WHERE name = 'con0007'")
    assert not backup.make(store.path)
    assert kept.read_bytes() == before


def test_a_store_without_objects_of_the_user_needs_no_backup(store):
    assert backup.make(store.path) and backup.path_of(store.path).exists()
    with store.write() as tx:
        for number in range(NUMBER):
            tx.delete_network(f"net{number:04}" * 8)
            tx.delete_container(f"con{number:04}" * 8)
    assert backup.make(store.path) and not backup.path_of(store.path).exists()


# ------------------------------------------------------------------------------------------------ repair


def build(salvaged, new):
    with rescue.new_store(new, salvaged.sequences) as tx:
        for record in salvaged.records["networks"].values():
            tx.put_network(record)
        for record in salvaged.records["containers"].values():
            tx.put_container(record)
    return []


def listed(store):
    with store.read() as reader:
        return [c.name for c in reader.containers()]


def test_a_repair_takes_lost_records_from_the_backup_and_keeps_the_old_file(store):
    backup.make(store.path)
    edit(store.path, "UPDATE containers SET body = '{' WHERE name = 'con0007'")
    edit(store.path, "DELETE FROM containers WHERE name = 'con0009'")  # removed by the user after the backup
    damaged = store.path.read_bytes()
    done = rescue.repair(store.path, build)
    assert sorted(listed(store)) == [n for n in everything("containers") if n != "con0009"]
    assert done[1] == "took from the backup: container con0007"
    (kept,) = store.path.parent.glob("hawse.db.damaged-*[0-9]")
    assert kept.read_bytes() == damaged and done[-1] == f"kept the old file as {kept}"
    assert rescue.problems(store.path) == []


def test_a_file_of_zeros_is_replaced_by_the_backup(store):
    backup.make(store.path)
    store.path.write_bytes(bytes(50_000))
    rescue.repair(store.path, build)
    assert listed(store) == everything("containers")


@pytest.mark.parametrize("at", ["the old file", "its log", "the new file"])
def test_a_repair_that_was_killed_is_finished_by_the_next(logged, monkeypatch, at):
    """The repair is killed before it moves the file ``at``. Until the next repair, commands refuse to work.

    No record is lost.
    """
    edit(logged.path, f"PRAGMA user_version = {schema.VERSION + 1}") if at == "the old file" else None
    moves = {"the old file": 1, "its log": 2, "the new file": 3}[at]
    calls, rename = [], rescue.os.rename

    def killed(old, new):
        calls.append(old)
        if len(calls) > moves:
            raise KeyboardInterrupt
        rename(old, new)

    monkeypatch.setattr(rescue.os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        rescue.repair(logged.path, build)
    monkeypatch.setattr(rescue.os, "rename", rename)
    if at != "the old file":
        assert "the repaired file of it exists" in complaint(logged)
    rescue.repair(logged.path, build)
    assert listed(logged) == everything("containers")
    assert not list(logged.path.parent.glob("*.repaired*")) and not list(logged.path.parent.glob("*.rescue*"))
    for kept in logged.path.parent.glob("hawse.db.damaged-*[0-9]"):
        assert salvage.read_file(kept).records["containers"]


@pytest.mark.parametrize("is_killed", [False, True], ids=["finished", "killed"])
def test_the_log_of_a_lost_file_is_not_moved_beside_an_older_damaged_file(logged, monkeypatch, is_killed):
    """Because SQLite applies a log to the file of the same name, the log would change the older file.

    The first repair may be killed before it moves the log.
    """
    older = logged.path.with_name("hawse.db.damaged-20200101T000000.1")
    older.write_bytes(b"older")
    time.sleep(0.02)  # the kernel's clock for files has steps of up to 10 ms
    log = logged.path.with_name("hawse.db-wal").read_bytes()
    logged.path.unlink()
    if is_killed:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(rescue, "_replace", Mock(side_effect=KeyboardInterrupt))
            rescue.repair(logged.path, build)
    done = rescue.repair(logged.path, build)
    assert listed(logged) == everything("containers")
    assert not older.with_name(f"{older.name}-wal").exists()
    (moved,) = logged.path.parent.glob("hawse.db.damaged-*-wal")
    assert moved.read_bytes() == log and f"kept the old file as {str(moved).removesuffix('-wal')}" in done


def test_the_log_follows_the_file_that_a_killed_repair_moved_last(logged, monkeypatch):
    """Ten older files have names of the same second, so the name with .10 comes before .2 in the alphabet."""
    monkeypatch.setattr(rescue.time, "strftime", lambda text: "20200101T000000")
    for number in range(1, 10):
        logged.path.with_name(f"hawse.db.damaged-20200101T000000.{number}").write_bytes(b"older")
    rename = rescue.os.rename

    def killed(old, new):
        if str(old).endswith("-wal"):
            raise KeyboardInterrupt
        rename(old, new)

    time.sleep(0.02)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(rescue.os, "rename", killed)
        rescue.repair(logged.path, build)
    rescue.repair(logged.path, build)
    assert [p.name for p in logged.path.parent.glob("*damaged*-wal")] == ["hawse.db.damaged-20200101T000000.10-wal"]


def test_a_writer_that_waits_writes_to_the_repaired_file(store):
    """A command waits for the lock of the old file. The repair then replaces the file."""
    edit(store.path, "UPDATE containers SET body = '{' WHERE name = 'con0007'")

    def write():
        with store.write() as tx:
            tx.put_container(container("late"))

    def build_slowly(salvaged, new):
        late.start()
        time.sleep(0.5)
        return build(salvaged, new)

    late = threading.Thread(target=write)
    rescue.repair(store.path, build_slowly)
    late.join()
    assert "late" in listed(store) and len(listed(store)) == NUMBER
