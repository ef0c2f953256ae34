"""The stream of events: the tests check its order, its start and end, its limits, and its wake-up without polling.

Other processes also write events, and the store may be replaced.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import pytest

from engine.errors import InvalidArgument
from engine.events import watch
from engine.events.stream import EventStream
from engine.events.watch import EventWatch
from engine.model import Event, EventOptions
from engine.store.api import EVENTS_KEPT, EVENTS_SPARE
from engine.store.sqlite import SqliteStore
from tests.conftest import loaded

PAST = EventOptions(since=0, until=1 << 62)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "root" / "hawse.db")


def stream_of(store: SqliteStore, options: EventOptions) -> EventStream:
    return EventStream(store, EventWatch(store, store.path.parent), options)


def add(store: SqliteStore, *actions: str, actor: str = "1" * 64) -> None:
    with store.write() as tx:
        for action in actions:
            tx.put_event(Event("container", action, actor, {"name": "web"}))


def past(store: SqliteStore, **options: object) -> list[str]:
    chosen = EventOptions(**{"since": 0, "until": time.time_ns(), **options})  # type: ignore[arg-type]
    with stream_of(store, chosen) as events:
        return [event.action for event in events]


@pytest.fixture
def following(store: SqliteStore) -> Iterator[tuple[EventStream, list[tuple[float, Event]]]]:
    """Yield a stream that a thread reads, and a list of the received events as (monotonic seconds, event)."""
    seen: list[tuple[float, Event]] = []
    events = stream_of(store, EventOptions())
    thread = threading.Thread(target=lambda: seen.extend((time.monotonic(), event) for event in events))
    thread.start()
    yield events, seen
    events.stop()
    thread.join(2)
    assert not thread.is_alive()
    events.close()
    events.close()
    events.stop()


def until(number: int, seen: list[tuple[float, Event]]) -> None:
    deadline = time.monotonic() + loaded(5)
    while len(seen) < number:
        assert time.monotonic() < deadline, f"{len(seen)} events of {number}"
        time.sleep(0.001)


def test_past_events_come_in_order_with_their_fields(store: SqliteStore) -> None:
    before = time.time_ns()
    add(store, "create", "start")
    add(store, "die")
    assert past(store) == ["create", "start", "die"]
    with stream_of(store, EventOptions(since=0, until=time.time_ns())) as events:
        first, *_, last = list(events)
    assert (first.type, first.actor, first.attributes, first.scope) == ("container", "1" * 64, {"name": "web"}, "local")
    assert before <= first.time <= last.time <= time.time_ns()
    assert past(store, since=last.time) == ["die"]
    assert past(store, since=last.time + 1) == []
    assert past(store, since=None, until=first.time) == ["create"]
    assert past(store, filters={"event": ["start", "die"], "container": ["we"]}) == ["start", "die"]


@pytest.mark.parametrize(("year", "actions"), [(-9999, ["create"]), (9999, [])])
def test_a_begin_outside_the_integers_of_sqlite_is_no_error(store: SqliteStore, year: int, actions: list[str]) -> None:
    add(store, "create")
    with store.read() as reader:
        assert [event.action for event in reader.events(since=year * 366 * 86400 * 10**9)] == actions


def test_the_end_before_the_begin_is_refused_as_docker_does(store: SqliteStore) -> None:
    with pytest.raises(InvalidArgument) as error:
        stream_of(store, EventOptions(since=20_000_000_001, until=10_000_000_000))
    assert str(error.value) == "`since` time (20.000000001) cannot be after `until` time (10)"


def test_a_follower_gets_each_new_event_once_and_soon_but_no_past_event(
    store: SqliteStore, following: tuple[EventStream, list[tuple[float, Event]]]
) -> None:
    _, seen = following
    for number in range(50):
        add(store, f"kill {number}")
    until(50, seen)
    assert [event.action for _, event in seen] == [f"kill {number}" for number in range(50)]
    time.sleep(0.3)  # wait until the thread has finished its additional reads and waits for inotify
    began = time.monotonic()
    add(store, "start")
    until(51, seen)
    assert seen[-1][0] - began < 0.1


def test_a_follower_sees_the_events_of_many_processes_in_one_order(store: SqliteStore) -> None:
    add(store, "before")
    ready, go = os.pipe()
    children = []
    for name in "abcd":
        if not (pid := os.fork()):
            os.close(go)
            os.read(ready, 1)  # returns when the parent reads the stream
            for number in range(25):
                add(store, str(number), actor=name)
            os._exit(0)
        children.append(pid)
    with stream_of(store, EventOptions()) as events:
        os.close(go)
        seen = list(islice(events, 100))
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0, 0]
    os.close(ready)
    assert [event.number for event in seen] == list(range(2, 102))
    for name in "abcd":
        assert [event.action for event in seen if event.actor == name] == [str(number) for number in range(25)]


def test_a_waiting_follower_does_not_read_the_store(
    store: SqliteStore,
    following: tuple[EventStream, list[tuple[float, Event]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[float] = []
    present = SqliteStore.read
    monkeypatch.setattr(SqliteStore, "read", lambda self: looks.append(time.monotonic()) or present(self))
    add(store, "start")
    until(1, following[1])
    time.sleep(1.0)
    assert 1 <= len(looks) <= 3 * (len(watch.LOOKS_SECONDS) + 1)
    assert max(looks) < min(looks) + 0.6


def test_a_stream_ends_at_until(store: SqliteStore) -> None:
    add(store, "start")  # before the stream, because a busy machine may need longer than the stream
    began = time.time_ns()
    with stream_of(store, EventOptions(until=began + 300_000_000)) as events:
        assert [event.action for event in events] == ["start"]
    assert 0.29 < (time.time_ns() - began) / 1e9 < watch.RARE_SECONDS / 2


def test_a_stream_continues_with_a_replaced_store(store: SqliteStore) -> None:
    add(store, *map(str, range(20)))
    with stream_of(store, EventOptions()) as events:
        new = SqliteStore(store.path.parent / "new.db")
        add(new, "first of the new store")
        with closing(sqlite3.connect(new.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ("-wal", "-shm"):
            os.unlink(f"{store.path}{suffix}")
        os.rename(new.path, store.path)
        assert [event.action for event in islice(events, 1)] == ["first of the new store"]


def test_the_store_keeps_the_newest_events(store: SqliteStore) -> None:
    number = EVENTS_KEPT + 3 * EVENTS_SPARE
    add(store, *map(str, range(number)))
    kept = past(store)
    assert EVENTS_KEPT <= len(kept) <= EVENTS_KEPT + EVENTS_SPARE
    assert kept == [str(each) for each in range(number)][-len(kept) :]


def test_an_event_is_rolled_back_together_with_its_change(store: SqliteStore) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        tx.put_event(Event("network", "create", "2" * 64))
        _ = 1 / 0
    assert past(store) == []


def test_bytes_that_are_no_text_are_replaced(store: SqliteStore) -> None:
    with store.write() as tx:
        tx.put_event(Event("container", "exec_create: \udcff", "3" * 64, {"l\udcfe": "\udcfd"}))
    with stream_of(store, EventOptions(since=0, until=time.time_ns())) as events:
        (event,) = list(events)
    assert (event.action, event.attributes) == ("exec_create: \ufffd", {"l\ufffd": "\ufffd"})


@pytest.mark.parametrize("left", [0, 1])
def test_a_join_without_descriptors_leaves_no_descriptor_and_no_thread(monkeypatch, tmp_path, left):
    watched, made, numbers = EventWatch(SqliteStore(tmp_path / "hawse.db"), tmp_path), os.eventfd, iter(range(2))

    def eventfd(*arguments: int) -> int:
        if next(numbers) == left:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return made(*arguments)

    before, threads = descriptors_of_watches(), set(threading.enumerate())
    monkeypatch.setattr(os, "eventfd", eventfd)
    with pytest.raises(OSError, match="Too many open files"):
        watched.join()
    # A thread of another test may end meanwhile.
    assert descriptors_of_watches() <= before and set(threading.enumerate()) <= threads


def descriptors_of_watches() -> set[str]:
    """Return the numbers of this process's eventfds and inotify descriptors.

    Other descriptors are left out, because a thread of another test may read its store now.
    """
    numbers = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{number}") in ("anon_inode:[eventfd]", "anon_inode:inotify"):
                numbers.add(number)
    return numbers
