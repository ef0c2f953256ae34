"""A function that reads the store, for several tests of the engine."""

from engine.store.sqlite import SqliteStore


def recorded(host):
    """Return the store's containers, intents (records of unfinished commands) and endpoints."""
    with SqliteStore(host.root / "hawse.db").read() as reader:
        return [*reader.containers(), *reader.intents(), *reader.endpoints()]
