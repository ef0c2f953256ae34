"""The last port of each range is stored: it is kept for the ranges used last, and forgotten after a reboot.

A hint about a conflict names the container that has the port at the same host address.
"""

from __future__ import annotations

from engine.containers import port_assignment
from engine.containers.port_assignment import CURSOR_LIMIT, StoredCursor
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, PortRecord
from engine.ports.allocation import PortConflict
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


def test_the_hint_about_a_conflict_names_the_container_with_the_same_host_address(tmp_path):
    with SqliteStore(tmp_path / "hawse.db").write() as tx:
        for number, name in enumerate(("first", "second", "third"), start=1):
            tx.put_container(ContainerRecord(name, name, "", ContainerConfig(image="i"), HostConfig()))
            port = PortRecord("tcp", f"192.0.2.{number}", 8080, 8080, 80, 80)
            tx.put_endpoint(EndpointRecord(name, "n", name, "", ports=(port,), phase="live"))
        for number, name in enumerate(("first", "second", "third"), start=1):
            hint = port_assignment._port_holder(tx, PortConflict("", "tcp", f"192.0.2.{number}", 8080))
            assert hint == f"The container {name} has port 8080/tcp of the host"
