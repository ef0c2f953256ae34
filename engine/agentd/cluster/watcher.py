"""Watches the etcd store in a separate thread: reads all records once, then waits for changes.

etcd may have deleted (compacted) the revisions from which the watch must continue. In that case the thread reads all
records again. While the etcd store is unreachable, the agent uses the last snapshot. Therefore it still knows the DNS
names and the endpoints of other hosts.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable

from engine.cluster import keys
from engine.cluster import snapshot as views
from engine.cluster.etcd import Client, Compacted, KeyValue
from engine.cluster.snapshot import View
from engine.errors import EngineError

SILENCE_SECONDS = 30.0
"""Seconds without a message after which the thread closes a watch of the etcd store and opens a new watch.

Opening the watch again shows whether the store still answers.
"""
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.1, 2.0


class StoreWatcher:
    """A thread that calls the function ``changed`` with every new snapshot of the etcd store.

    - ``open_client``: opens a client of the store
    - ``known``: the snapshot from which the thread continues; if it is None, the thread first reads all records
    - ``silence``: seconds without a message, after which the thread opens a new watch
    - ``on_question``: called with each new question from one host to another; snapshots do not contain questions
    """

    def __init__(
        self,
        open_client: Callable[[], Client],
        changed: Callable[[View], None],
        known: View | None,
        silence: float = SILENCE_SECONDS,
        on_question: Callable[[KeyValue], None] = lambda question: None,
    ) -> None:
        self._on_question = on_question
        self._open_client, self._changed, self._view, self._silence = open_client, changed, known, silence
        self._ended = threading.Event()
        self._pause = FIRST_PAUSE_SECONDS
        self._revision = known.revision if known is not None else 0

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="watcher", daemon=True).start()

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            client = None
            try:
                client = self._open_client()
                self._follow(client)
            except Compacted:
                self._view = None
            except EngineError:
                self._ended.wait(self._pause)
                self._pause = min(self._pause * 2, LAST_PAUSE_SECONDS)
            except Exception:
                traceback.print_exc(file=sys.stderr)
                self._view = None
                self._ended.wait(LAST_PAUSE_SECONDS)
            finally:
                if client is not None:
                    client.close()

    def _follow(self, client: Client) -> None:
        if self._view is None:
            self._take(views.load(client))
        assert self._view is not None
        for revision, events in client.watch(keys.SHARED, self._revision + 1, self._silence):
            self._pause = FIRST_PAUSE_SECONDS
            if self._ended.is_set():
                return
            changes = [event for event in events if not event.key.startswith(keys.QUESTIONS)]
            for event in events:
                if event.key.startswith(keys.QUESTIONS) and not event.deleted:
                    self._on_question(event)
            if changes:
                self._take(views.after(self._view, revision, changes))
            # Record the revision even if only questions have changed. Otherwise the next watch repeats the questions.
            self._revision = revision

    def _take(self, view: View) -> None:
        self._view, self._revision = view, view.revision
        self._changed(view)
