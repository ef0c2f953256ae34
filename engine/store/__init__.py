"""The store for hawse's records: a protocol and its SQLite implementation."""
