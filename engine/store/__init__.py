"""The store for hawse's records: an interface, and its implementation with SQLite."""
