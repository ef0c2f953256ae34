"""A writer that waits for another process names the process, and does not wait long for a stopped process."""

from __future__ import annotations

import os
import signal
import time

import pytest

from engine.errors import Unavailable
from engine.store import lock_holder, sqlite
from engine.store.locks import locked
from engine.store.sqlite import SqliteStore
from tests.conftest import loaded


@pytest.fixture
def holder(tmp_path):
    """Yield a store, and the pid of a child process that holds the store's write lock."""
    store = SqliteStore(tmp_path / "hawse.db")
    with store.write() as tx:
        tx.set_meta("key", "value")
    sqlite.close_idle()
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with store.write() as tx:
            tx.set_meta("key", "other")
            os.write(tell, b".")
            time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    yield store, child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def refused(store):
    began = time.monotonic()
    with pytest.raises(Unavailable) as raised, store.write():
        pass
    return str(raised.value), time.monotonic() - began


def test_a_writer_names_the_process_that_holds_the_lock(holder):
    store, pid = holder
    text, _ = refused(SqliteStore(store.path, busy_seconds=0.2))
    assert f"is locked by another command: process {pid} (" in text


def test_a_stopped_process_is_not_waited_for_and_readers_go_on(holder, monkeypatch):
    store, pid = holder
    monkeypatch.setattr(lock_holder, "STOP_CHECK_SECONDS", 0.2)
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    text, seconds = refused(store)
    assert text.endswith(", which is stopped") and f"process {pid} (" in text
    assert seconds < loaded(2)
    with store.read() as reader:
        assert reader.meta("key") == "value"


def test_the_error_for_an_object_lock_names_its_holder_and_a_stopped_holder_is_not_awaited(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_holder, "STOP_CHECK_SECONDS", 0.2)
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(tmp_path, "container", "ab"):
            os.write(tell, b".")
            time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    try:
        text = f"timed out after 0.3 s .* container-ab: process {child} "
        with pytest.raises(Unavailable, match=text), locked(tmp_path, "container", "ab", timeout=0.3):
            pass
        os.kill(child, signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)
        began = time.monotonic()
        text = f"process {child} .*which is stopped"
        with pytest.raises(Unavailable, match=text), locked(tmp_path, "container", "ab"):
            pass
        assert time.monotonic() - began < loaded(2)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with locked(tmp_path, "container", "ab"):
        pass
    assert list((tmp_path / "locks").iterdir()) == []
