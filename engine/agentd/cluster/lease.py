"""Keeps this host's lease alive in its own thread.

Other hosts use this host's endpoints only while the lease exists.

Each time the etcd store becomes reachable again, the thread compares this host's endpoints with the endpoints in the
etcd store.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable

from engine.cluster import node_operations
from engine.cluster.etcd import Client
from engine.cluster.model import ClusterMembership
from engine.errors import EngineError

RETRY_DELAY_SECONDS = 1.0
SYNC_INTERVAL_SECONDS = 60.0
"""Seconds between two comparisons of this host's endpoints with the endpoints in the etcd store."""


class LeaseKeeper:
    """A thread that renews this host's lease, and calls two functions with an etcd client:

    - ``after_renewal``: called after each renewal.
    - ``sync_records``: compares this host's endpoints with the etcd store, and returns whether it has repaired all
      differences. It is called when the lease is new or regained, after `request_sync`, and every
      `SYNC_INTERVAL_SECONDS` seconds. If differences remain, it is called again at the next renewal.
    """

    def __init__(
        self,
        open_client: Callable[[], Client],
        membership: ClusterMembership,
        *,
        sync_records: Callable[[Client], bool],
        after_renewal: Callable[[Client], None],
    ) -> None:
        self._open_client, self._membership = open_client, membership
        self._sync_records, self._after_renewal = sync_records, after_renewal
        self._wake = threading.Event()
        self._ended = False
        self._lease = ""
        self._synced, self._synced_at = False, 0.0

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def request_sync(self) -> None:
        """Make the thread renew the lease and then compare this host's endpoints with the etcd store; does not wait."""
        self._synced = False
        self._wake.set()

    def wake(self) -> None:
        """Make the thread renew the lease now; does not wait for the renewal."""
        self._wake.set()

    def stop(self) -> None:
        """Ask the thread to end; does not wait.

        The lease is not revoked, because the next agent may renew it in time.
        """
        self._ended = True
        self._wake.set()

    def _run(self) -> None:
        client = None
        seconds = node_operations.lease_seconds()
        while not self._ended:
            pause, was_open = seconds / 3, client is not None
            try:
                if client is None:
                    client = self._open_client()
                    # Wait only a part of the lease time for a manager, so that another manager can be asked in time.
                    client.answer_seconds = min(client.answer_seconds, seconds / 3)
                self._renew(client, seconds)
            except EngineError:
                self._synced = False
                client, pause = None, 0.0 if was_open else RETRY_DELAY_SECONDS
            except Exception:
                traceback.print_exc(file=sys.stderr)
                client, pause = None, RETRY_DELAY_SECONDS
            self._wake.wait(pause)
            self._wake.clear()

    def _renew(self, client: Client, seconds: int) -> None:
        lease = str(
            node_operations.perform(client, self._membership, "beat", seconds=seconds, lease=self._lease)["lease"]
        )
        if lease != self._lease:
            self._synced, self._lease = False, lease
        if not self._synced or time.monotonic() - self._synced_at > SYNC_INTERVAL_SECONDS:
            self._synced, self._synced_at = True, time.monotonic()
            if not self._sync_records(client):
                self._synced = False
        self._after_renewal(client)
