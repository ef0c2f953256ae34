import pytest

from engine.cluster import keys
from engine.cluster.etcd import Compacted
from engine.cluster.etcd.client import Client, b64


class Stream:
    """A connection to etcd that delivers the given results of a watch."""

    def __init__(self, *results):
        self._results = results

    def set_timeout(self, seconds):
        pass

    def stream(self, path, body):
        return [{"result": result} for result in self._results]

    def close(self):
        pass


def event(revision):
    return {"kv": {"key": b64(keys.CLUSTER), "mod_revision": str(revision)}}


def test_a_watch_yields_revisions_whose_events_it_has_all_delivered():
    header = {"header": {"revision": "90"}}  # the store's current revision, in each message of etcd
    results = (
        {**header, "created": True},
        {**header, "events": [event(11), event(12)]},
        {**header, "events": [event(13)]},
        header,
    )
    client = Client(["unix:none"])
    client.take = lambda: Stream(*results)
    revisions = [revision for revision, _ in client.watch(keys.SHARED, 11, 1.0)]
    assert revisions == [10, 12, 13, 90]


def test_a_watch_of_a_store_that_was_restored_from_a_backup_is_refused():
    client = Client(["unix:none"])
    client.take = lambda: Stream({"header": {"revision": "9"}, "created": True})
    with pytest.raises(Compacted):
        next(client.watch(keys.SHARED, 11, 1.0))
    assert next(client.watch(keys.SHARED, 10, 1.0)) == (9, [])
