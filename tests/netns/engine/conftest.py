"""Functions that read the store, for several tests of the engine."""

from engine.store.sqlite import SqliteStore


def recorded(host):
    """Return the store's containers, intents (records of unfinished commands) and endpoints."""
    with SqliteStore(host.root / "hawse.db").read() as reader:
        return [*reader.containers(), *reader.intents(), *reader.endpoints()]


def network_actions(host, name):
    """Return the actions of the events of a network, the oldest first."""
    with SqliteStore(host.root / "hawse.db").read() as reader:
        return [e.action for e in reader.events() if e.type == "network" and e.attributes["name"] == name]
