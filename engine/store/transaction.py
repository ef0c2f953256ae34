"""Implement the store's snapshots and transactions in SQL, including the checks that values are unique."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import starmap
from typing import Any, TypeVar

from msgspec.structs import replace

from engine.errors import EngineError
from engine.model import (
    ContainerRecord,
    EndpointRecord,
    Event,
    ImageRecord,
    NetworkRecord,
    NetworkSummary,
    PortRecord,
)
from engine.names import as_text, natural_key
from engine.store.api import EVENTS_KEPT, EVENTS_READ, EVENTS_SPARE, Intent, Taken
from engine.store.codec import decode, encode
from engine.store.record_cache import RecordCache

T = TypeVar("T")
Column = str | bytes | int

_FREED, _LEFT = 10, 20  # on a full disk: the number of events to delete, and the minimum number of events to keep
_LARGEST_INTEGER = 2**63 - 1  # the largest integer of SQLite
_HIGHEST = chr(0x10FFFF)  # the highest character: an id prefix followed by it sorts after all ids with this prefix

SAME_PLACE = """
    other.protocol = mine.protocol AND other.family = mine.family AND other.endpoint_id != mine.endpoint_id
    AND mine.host_port > 0
    AND (other.host_ip = mine.host_ip OR other.host_ip IN ('0.0.0.0', '::') OR mine.host_ip IN ('0.0.0.0', '::'))
"""
COLLISIONS = f"""
SELECT mine.rowid, mine.host_ip, mine.host_port, other.endpoint_id FROM ports AS mine CROSS JOIN ports AS other
    ON {SAME_PLACE} AND other.host_port BETWEEN mine.host_port AND mine.host_port_end
    WHERE mine.endpoint_id = :endpoint_id
UNION ALL
SELECT mine.rowid, mine.host_ip, mine.host_port, other.endpoint_id FROM ports AS mine CROSS JOIN ports AS other
    ON {SAME_PLACE} AND other.host_port_end > other.host_port
        AND other.host_port_end >= mine.host_port AND other.host_port < mine.host_port
    WHERE mine.endpoint_id = :endpoint_id
ORDER BY 1 LIMIT 1
"""
"""The query for conflicts between the host ports of one endpoint and the host ports of other endpoints.

The first part of the query finds port ranges of other endpoints that begin inside a port range of this endpoint. The
second part finds port ranges of other endpoints that begin before a port range of this endpoint and overlap this range.
Only the first conflict is returned. CROSS JOIN makes SQLite read the table ``mine`` before the table ``other``.
"""
PORT_COLUMNS = "protocol, family, host_port, host_port_end, host_ip, port, port_end, endpoint_id"


def _pack(address: int) -> bytes:
    return address.to_bytes(16)


def _port_row(port: PortRecord, endpoint_id: str) -> tuple[str | int, ...]:
    family = 6 if ":" in port.host_ip else 4
    return (
        port.protocol, family, port.host_port, port.host_port_end, port.host_ip, port.port, port.port_end, endpoint_id,
    )  # fmt: skip


class SqliteReader:
    """Implements `engine.store.api.Reader`, which describes the methods.

    ``recall`` is a cache for the methods that return all records of a table, or None without a cache. Images are not
    cached.
    """

    def __init__(self, connection: sqlite3.Connection, recall: RecordCache | None = None) -> None:
        self._connection, self._recall = connection, recall

    def networks(self, *, driver: str = "", with_options: bool = False) -> list[NetworkRecord]:
        """Return all networks, in any phase (planned, creating, live or removing)."""
        where = ("driver = ?" if driver else "1") + (" AND with_options" if with_options else "")
        return self._select(NetworkRecord, "networks", where, *filter(None, [driver]))

    def network_summaries(self, phases: Sequence[str]) -> list[NetworkSummary]:
        """Return summaries of all networks whose phase is in ``phases``, sorted by name."""
        marks = ", ".join("?" * len(phases))
        rows = self._connection.execute(
            "SELECT id, name, driver, scope, predefined FROM networks INDEXED BY networks_listed "
            f"WHERE phase IN ({marks}) ORDER BY place",
            phases,
        )
        return list(starmap(NetworkSummary, rows))

    def has_custom_networks(self) -> bool:
        """Return whether there is any network besides the predefined networks."""
        return self._value("SELECT 1 FROM networks WHERE NOT predefined LIMIT 1") is not None

    def drivers_in_use(self) -> set[str]:
        """Return the driver types that have at least one live network."""
        rows = self._connection.execute("SELECT DISTINCT driver FROM networks WHERE phase = 'live'")
        return {driver for (driver,) in rows}

    def subnets(self, version: int) -> list[tuple[int, int]]:
        """Return the subnets that networks use, each as its first and last address (two integers)."""
        rows = self._connection.execute("SELECT first, last FROM subnets WHERE family = ?", (version,))
        return [(int.from_bytes(first), int.from_bytes(last)) for first, last in rows]

    def network(self, network_id: str) -> NetworkRecord | None:
        """Return the network with this full id, or None if no network has this id."""
        return self._one(NetworkRecord, "networks", network_id)

    def find_networks(self, reference: str) -> list[NetworkRecord]:
        """Return the networks that ``reference`` means, sorted by creation."""
        return self._find(NetworkRecord, "networks", reference, reference)

    def containers(self, *, with_links: bool = False, adopted: bool = False) -> list[ContainerRecord]:
        """Return all containers; with one of the two arguments, only some of them."""
        return self._select(
            ContainerRecord, "containers", "with_links" if with_links else "adopted" if adopted else "1"
        )

    def container(self, container_id: str) -> ContainerRecord | None:
        """Return the container with this full id, or None if no container has this id."""
        return self._one(ContainerRecord, "containers", container_id)

    def has_containers(self) -> bool:
        """Return whether there is any container."""
        return self._value("SELECT 1 FROM containers LIMIT 1") is not None

    def find_containers(self, reference: str) -> list[ContainerRecord]:
        """Return the containers that ``reference`` means, sorted by creation."""
        return self._find(ContainerRecord, "containers", reference, reference.removeprefix("/"))

    def endpoints(self, *, network_id: str = "", container_id: str = "") -> list[EndpointRecord]:
        """Return the endpoints of a network, of a container, or of a container on a network."""
        criteria = {"network_id": network_id, "container_id": container_id}
        conditions = {column: value for column, value in criteria.items() if value}
        where = " AND ".join(f"{column} = ?" for column in conditions) or "1"
        return self._select(EndpointRecord, "endpoints", where, *conditions.values())

    def container_names(self, network_id: str) -> dict[str, str]:
        """Return the names of the containers that have an endpoint on a network, by container id."""
        rows = self._connection.execute(
            "SELECT c.id, c.name FROM endpoints AS e JOIN containers AS c ON c.id = e.container_id "
            "WHERE e.network_id = ?",
            (network_id,),
        )
        return dict(rows.fetchall())

    def publishing_endpoints(self) -> Iterator[EndpointRecord]:
        """Yield the endpoints that have published host ports. Each record is read only when it is needed."""
        rows = self._connection.execute(
            "SELECT body FROM endpoints "
            "WHERE EXISTS (SELECT 1 FROM ports WHERE endpoint_id = endpoints.id) ORDER BY seq"
        )
        return (decode(EndpointRecord, body) for (body,) in rows)

    def endpoint(self, endpoint_id: str) -> EndpointRecord | None:
        """Return the endpoint with this full id, or None if no endpoint has this id."""
        return self._one(EndpointRecord, "endpoints", endpoint_id)

    def ports(self) -> list[PortRecord]:
        """Return the host ports of all endpoints."""
        rows = self._connection.execute("SELECT protocol, host_ip, host_port, host_port_end, port, port_end FROM ports")
        return [PortRecord(*row) for row in rows]

    def addresses(self, pool: str) -> list[int]:
        """Return the reserved addresses of a subnet as integers, ascending."""
        rows = self._connection.execute("SELECT address FROM addresses WHERE pool = ? ORDER BY address", (pool,))
        return [int.from_bytes(address) for (address,) in rows]

    def images(self) -> list[ImageRecord]:
        """Return all images."""
        return self._select(ImageRecord, "images")

    def image(self, image_id: str) -> ImageRecord | None:
        """Return the image with this full id, or None if no image has this id."""
        return self._one(ImageRecord, "images", image_id)

    def intents(self) -> list[Intent]:
        """Return all intents, oldest first; there are normally very few."""
        rows = self._connection.execute("SELECT kind, object_id, owner FROM intents ORDER BY seq")
        return [Intent(*row) for row in rows]

    def meta(self, key: str) -> str | None:
        """Return a small value that is stored outside the records, or None if the store has no value for ``key``."""
        value: str | None = self._value("SELECT value FROM meta WHERE key = ?", key)
        return value

    def events(self, *, after: int = 0, since: int = 0) -> list[Event]:
        """Return at most `EVENTS_READ` events whose number is higher than ``after``, in the order of their numbers.

        If the attributes of an event are damaged, the event is returned with empty attributes.
        """
        rows = self._connection.execute(
            "SELECT type, action, actor, attributes, scope, time, seq FROM events WHERE seq > ? AND time >= ? "
            "ORDER BY seq LIMIT ?",
            (after, max(0, min(since, _LARGEST_INTEGER)), EVENTS_READ),
        )
        return [Event(kind, action, actor, _attributes(text), *rest) for kind, action, actor, text, *rest in rows]

    def last_event(self) -> int:
        """Return the number of the newest event, or 0 if there are no events."""
        return self._value("SELECT max(seq) FROM events") or 0

    def _select(self, kind: type[T], table: str, where: str = "1", *values: str) -> list[T]:
        if self._recall is not None and where == "1" and table != "images":
            return self._recall.records(self._connection, kind, table)
        rows = self._connection.execute(f"SELECT body FROM {table} WHERE {where} ORDER BY seq", [*map(as_text, values)])
        return [decode(kind, body) for (body,) in rows]

    def _one(self, kind: type[T], table: str, object_id: str) -> T | None:
        return next(iter(self._select(kind, table, "id = ?", object_id)), None)

    def _find(self, kind: type[T], table: str, reference: str, name: str) -> list[T]:
        if not reference:
            return []
        return (
            self._select(kind, table, "id = ?", reference)
            or self._select(kind, table, "name = ?", name)
            or self._select(kind, table, "id > ? AND id < ?", reference, reference + _HIGHEST)
        )

    def _value(self, query: str, *values: Any) -> Any:
        """Run a query and return the first column of its first row, or None if the result has no row."""
        row = self._connection.execute(query, values).fetchone()
        return row and row[0]


class SqliteTransaction(SqliteReader):
    """Implements `engine.store.api.Transaction`, which describes the methods.

    ``objection`` is the error that the insertion of a new object raises, or None if the disk has enough space. With an
    objection, endpoints can still be inserted, so that containers can restart. Existing objects can be changed and
    deleted.
    """

    def __init__(self, connection: sqlite3.Connection, objection: EngineError | None = None) -> None:
        super().__init__(connection)
        self._objection = objection

    def put_network(self, record: NetworkRecord) -> None:
        """Insert or replace a network by id; raises `Taken` if another network has the same name."""
        options = bool(record.options or record.host_options)
        self._put_named("networks", "network-name", record, driver=record.driver, scope=as_text(record.scope),
                        phase=record.phase, predefined=record.predefined, with_options=options,
                        place=natural_key(as_text(record.name)))  # fmt: skip
        self._execute("DELETE FROM subnets WHERE network_id = ?", record.id)
        for pool in () if record.config_only else record.pools:
            if not pool.unused:
                self._put_subnet(ip_network(pool.subnet), record.id)

    def delete_network(self, network_id: str) -> None:
        """Delete the network, its subnets, and the reservations of addresses in these subnets."""
        self._delete("networks", network_id)
        self._execute("DELETE FROM subnets WHERE network_id = ?", network_id)
        # Delete the reserved addresses of all subnets with keys that begin with "<network id>/". The upper limit is
        # "<network id>0", because "0" follows "/" in ASCII.
        self._execute("DELETE FROM addresses WHERE pool > ? AND pool < ?", f"{network_id}/", f"{network_id}0")

    def put_container(self, record: ContainerRecord, *, relink: bool = False) -> None:
        """Insert or replace a container by id; raises `Taken` if another container has the same name."""
        stored = self.container(record.id) if record.host.links and not relink else None
        if stored is not None:
            record = replace(record, host=replace(record.host, links=stored.host.links))
        self._put_named(
            "containers", "container-name", record, with_links=bool(record.host.links), adopted=record.kind == "adopted"
        )

    def delete_container(self, container_id: str) -> None:
        """Delete the container and its endpoints."""
        for endpoint in self.endpoints(container_id=container_id):
            self.delete_endpoint(endpoint.id)
        self._delete("containers", container_id)

    def put_endpoint(self, record: EndpointRecord) -> None:
        """Insert or replace an endpoint and its ports by id; raises `Taken` if one of its host ports is in use."""
        self._put_ports(record)
        self._put("endpoints", id=record.id, network_id=record.network_id, container_id=record.container_id,
                  body=encode(record), revision=_revision())  # fmt: skip

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete the endpoint, its addresses and its ports."""
        self._delete("endpoints", endpoint_id)
        self._execute("DELETE FROM ports WHERE endpoint_id = ?", endpoint_id)
        self.release_addresses(endpoint_id)

    def reserve_address(self, pool: str, address: int, holder: str) -> None:
        """Reserve one address of a subnet for ``holder``; raises `Taken` if another holder has the address."""
        packed = _pack(address)
        present = self._value("SELECT holder FROM addresses WHERE pool = ? AND address = ?", pool, packed)
        if present is None:
            self._execute("INSERT INTO addresses VALUES (?, ?, ?)", pool, packed, holder)
        elif present != holder:
            raise Taken("address", str(address), present)

    def release_addresses(self, holder: str) -> None:
        """Release all addresses that `reserve_address` has reserved for ``holder``; idempotent."""
        self._execute("DELETE FROM addresses WHERE holder = ?", holder)

    def put_image(self, record: ImageRecord) -> None:
        """Insert or replace an image by id."""
        self._put("images", id=record.id, body=encode(record))

    def delete_image(self, image_id: str) -> None:
        """Delete the image."""
        self._delete("images", image_id)

    def put_intent(self, intent: Intent) -> None:
        """Store an intent; replaces an intent of the same kind for the same object."""
        self._execute(
            "INSERT INTO intents (kind, object_id, owner) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, object_id) DO UPDATE SET owner = excluded.owner",
            intent.kind, intent.object_id, intent.owner,
        )  # fmt: skip

    def delete_intent(self, kind: str, object_id: str) -> None:
        """Delete an intent, because the work is finished or undone."""
        self._execute("DELETE FROM intents WHERE kind = ? AND object_id = ?", kind, object_id)

    def put_event(self, event: Event) -> None:
        """Add an event with the current time. Some calls also delete the oldest events.

        If the disk is almost full, each call deletes events first, and the new event uses their space.
        """
        if self._objection:
            oldest, newest = self._connection.execute("SELECT MIN(seq), MAX(seq) FROM events").fetchone()
            self._execute("DELETE FROM events WHERE seq <= ?", min((oldest or 0) + _FREED - 1, (newest or 0) - _LEFT))
        attributes = json.dumps(dict(event.attributes), ensure_ascii=False, separators=(",", ":"))
        texts = map(as_text, (event.type, event.action, event.actor, attributes, event.scope))
        number = self._connection.execute(
            "INSERT INTO events (type, action, actor, attributes, scope, time) VALUES (?, ?, ?, ?, ?, ?)",
            (*texts, time.time_ns()),
        ).lastrowid
        assert number is not None
        if number % EVENTS_SPARE == 0:
            self._execute("DELETE FROM events WHERE seq <= ?", number - EVENTS_KEPT)

    def set_meta(self, key: str, value: str) -> None:
        """Store a small value outside the records; `meta` then returns the value for ``key``."""
        self._execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    def _put_named(self, table: str, what: str, record: NetworkRecord | ContainerRecord, **columns: Column) -> None:
        name = as_text(record.name)
        holder = self._value(f"SELECT id FROM {table} WHERE name = ? AND id != ?", name, record.id)
        if holder is not None:
            raise Taken(what, record.name, holder)
        self._put(table, id=record.id, name=name, body=encode(record), revision=_revision(), **columns)

    def _put_subnet(self, subnet: IPv4Network | IPv6Network, network_id: str) -> None:
        first, last = _pack(int(subnet.network_address)), _pack(int(subnet.broadcast_address))
        self._execute("INSERT INTO subnets VALUES (?, ?, ?, ?)", subnet.version, first, last, network_id)

    def _put_ports(self, record: EndpointRecord) -> None:
        """Write the ports of an endpoint, if the ports have changed.

        Most updates of an endpoint leave its ports unchanged. Skipping the write makes such updates faster. Raises
        `Taken` if another endpoint has one of the host ports.
        """
        rows = [_port_row(port, record.id) for port in record.ports]
        present = self._connection.execute(
            f"SELECT {PORT_COLUMNS} FROM ports WHERE endpoint_id = ? ORDER BY rowid", (record.id,)
        )
        if rows == present.fetchall():
            return
        self._execute("DELETE FROM ports WHERE endpoint_id = ?", record.id)
        self._connection.executemany(f"INSERT INTO ports ({PORT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        taken = self._connection.execute(COLLISIONS, {"endpoint_id": record.id}).fetchone()
        if taken is not None:
            _, host_ip, host_port, holder = taken
            raise Taken("port", f"{host_ip}:{host_port}", holder)

    def _put(self, table: str, **columns: Column) -> None:
        """Insert a row, or update the row that has the same id.

        An updated row keeps its ``seq`` (the number by which listings are sorted). If the disk is almost full, raises
        the transaction's error (objection) for a new row of any table except endpoints.
        """
        if self._objection and not self._may_put(table, columns["id"]):
            raise self._objection
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
        self._execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changes}",
            *columns.values(),
        )

    def _may_put(self, table: str, object_id: Column) -> bool:
        return table == "endpoints" or bool(self._value(f"SELECT 1 FROM {table} WHERE id = ?", object_id))

    def _delete(self, table: str, object_id: str) -> None:
        self._execute(f"DELETE FROM {table} WHERE id = ?", object_id)

    def _execute(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)


def _revision() -> int:
    """Return a random number of 56 bits, by which a reader recognises that a record has been written again.

    The number is from the kernel, because forked processes would get equal numbers from their parent's generator.
    """
    return int.from_bytes(os.urandom(7))


def _attributes(text: str) -> dict[str, str]:
    """Return the attributes of an event from their JSON text, or {} if the text is damaged.

    Because events are only a history, damaged attributes are no error.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
