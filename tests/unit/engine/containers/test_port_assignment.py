"""The last port of each range is stored: it is kept for the ranges used last, and forgotten after a reboot."""

from __future__ import annotations

from engine.containers import port_assignment
from engine.containers.port_assignment import CURSOR_LIMIT, StoredCursor
from engine.store.sqlite import SqliteStore

RANGE = range(8000, 8010)


def test_the_last_port_of_a_range_is_stored_for_its_protocol_and_address(tmp_path):
    store = SqliteStore(tmp_path / "hawse.db")
    with store.write() as tx:
        StoredCursor(tx).move("tcp", "0.0.0.0", RANGE, 8003)
    with store.write() as tx:
        cursor = StoredCursor(tx)
        assert cursor.last("tcp", "0.0.0.0", RANGE) == 8003
        assert cursor.last("udp", "0.0.0.0", RANGE) == cursor.last("tcp", "::", RANGE) == 0


def test_many_ranges_keep_the_store_small_and_lose_the_range_used_longest_ago(tmp_path):
    with SqliteStore(tmp_path / "hawse.db").write() as tx:
        cursor = StoredCursor(tx)
        for first in range(1000, 1000 + CURSOR_LIMIT):
            cursor.move("tcp", "0.0.0.0", range(first, first + 10), first)
        cursor.move("tcp", "0.0.0.0", range(1000, 1010), 1001)
        cursor.move("tcp", "0.0.0.0", RANGE, 8003)
        assert cursor.last("tcp", "0.0.0.0", range(1000, 1010)) == 1001
        assert cursor.last("tcp", "0.0.0.0", range(1001, 1011)) == 0


def test_a_reboot_forgets_the_last_ports(tmp_path):
    with SqliteStore(tmp_path / "hawse.db").write() as tx:
        StoredCursor(tx).move("tcp", "0.0.0.0", RANGE, 8003)
        port_assignment.forget_cursors(tx)
        assert StoredCursor(tx).last("tcp", "0.0.0.0", RANGE) == 0
