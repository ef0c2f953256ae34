"""The tables of a host's store, and the migration of store files from older versions of hawse.

Each record is one JSON document in the column ``body``. The other columns are used to check uniqueness, to search, to
sort, and to list records without reading the documents. ``seq`` is higher for each new record, and does not change when
a record is replaced.

IP addresses are stored as 16 bytes, big-endian, so that addresses of both IP versions sort as numbers. The version of
the schema is stored as SQLite's ``user_version``; an empty file has version 0.
"""

from __future__ import annotations

import sqlite3

from engine.names import natural_key

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE networks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
    driver TEXT NOT NULL, phase TEXT NOT NULL, predefined INTEGER NOT NULL, with_options INTEGER NOT NULL);
CREATE INDEX networks_by_driver ON networks (driver, with_options);
CREATE INDEX networks_by_phase ON networks (phase, driver);
CREATE TABLE subnets (family INTEGER NOT NULL, first BLOB NOT NULL, last BLOB NOT NULL, network_id TEXT NOT NULL);
CREATE INDEX subnets_of_network ON subnets (network_id);
CREATE INDEX subnets_in_order ON subnets (family, first, last);
CREATE TABLE containers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE images (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE endpoints (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    network_id TEXT NOT NULL, container_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX endpoints_of_network ON endpoints (network_id);
CREATE INDEX endpoints_of_container ON endpoints (container_id);
CREATE TABLE addresses (
    pool TEXT NOT NULL, address BLOB NOT NULL, holder TEXT NOT NULL, PRIMARY KEY (pool, address)) WITHOUT ROWID;
CREATE INDEX addresses_of_holder ON addresses (holder);
CREATE TABLE ports (
    protocol TEXT NOT NULL, family INTEGER NOT NULL, host_port INTEGER NOT NULL, host_port_end INTEGER NOT NULL,
    host_ip TEXT NOT NULL, port INTEGER NOT NULL, port_end INTEGER NOT NULL, endpoint_id TEXT NOT NULL);
CREATE INDEX ports_by_number ON ports (protocol, family, host_port);
CREATE INDEX ports_of_ranges ON ports (protocol, family, host_port_end) WHERE host_port_end > host_port;
CREATE INDEX ports_of_endpoint ON ports (endpoint_id);
CREATE TABLE intents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, object_id TEXT NOT NULL, owner TEXT NOT NULL,
    UNIQUE (kind, object_id));
"""

LISTING = """
ALTER TABLE networks ADD COLUMN scope TEXT NOT NULL DEFAULT '';
ALTER TABLE networks ADD COLUMN place BLOB NOT NULL DEFAULT x'';
UPDATE networks SET scope = ifnull(json_extract(body, '$.scope'), 'local'), place = natural_key(name);
CREATE INDEX networks_listed ON networks (place, phase, id, name, driver, scope, predefined);
"""
"""The migration that adds columns and an index for listings of networks. The index contains all columns of a listing in
the order of the listing, so SQLite does not read the table. ``scope`` needs ``ifnull`` because the JSON in ``body``
leaves out default values.
"""

LINKING = """
ALTER TABLE containers ADD COLUMN with_links INTEGER NOT NULL DEFAULT 0;
UPDATE containers SET with_links = json_extract(body, '$.host.links') IS NOT NULL;
CREATE INDEX containers_with_links ON containers (with_links) WHERE with_links;
ALTER TABLE containers ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;
UPDATE containers SET adopted = ifnull(json_extract(body, '$.kind'), '') = 'adopted';
CREATE INDEX containers_adopted ON containers (adopted) WHERE adopted;
"""
"""The migration that adds columns to find the few containers with legacy links, and the few adopted namespaces, without
reading all documents.
"""

EVENTS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, type TEXT NOT NULL, action TEXT NOT NULL, actor TEXT NOT NULL,
    scope TEXT NOT NULL, attributes TEXT NOT NULL);
"""
"""The migration that adds the events. ``time`` is in nanoseconds since 1970, ``attributes`` is a JSON object. Only the
oldest events are deleted, so ``seq`` grows without SQLite's AUTOINCREMENT, which would write to a second table.
"""

REVISIONS = """
ALTER TABLE networks ADD COLUMN revision INT;
ALTER TABLE containers ADD COLUMN revision INT;
ALTER TABLE endpoints ADD COLUMN revision INT;
"""
"""The migration that adds the revisions, with which `engine.store.record_cache` finds changed records.

There is no index, because the text of the whole schema then still fits on the first page of the file. With two pages,
twice as many damages would make all records unreadable.
"""

MIGRATIONS = (TABLES, LISTING, LINKING, EVENTS, REVISIONS)
"""The migration at index N upgrades a file from version N to N+1. Append new migrations; never change a
released one.
"""

VERSION = len(MIGRATIONS)

READ_VERSION = "PRAGMA user_version"
"""The statement that reads the schema version of a store file.

Each transaction executes this statement first. SQLite takes the snapshot at the first read, so all later reads see the
state of this moment.
"""


def migrate(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file, or upgrade a store file to the schema version of this program.

    All migrations run in one transaction, so that a file is never upgraded only in part.
    """
    connection.create_function("natural_key", 1, natural_key, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    for step in MIGRATIONS[connection.execute(READ_VERSION).fetchone()[0] :]:
        for statement in filter(str.strip, step.split(";")):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
