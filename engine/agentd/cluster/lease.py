"""Keeps this host's lease, in a thread of its own: while it holds, the others count on this host's endpoints.

Each time the store can be reached again, what this host has and what the store says of it are compared.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

from engine.cluster import node_operations
from engine.cluster.etcd import Client
from engine.cluster.model import ClusterMembership
from engine.errors import EngineError

LEASE = 30
"""Seconds after which a silent host's endpoints go; HAWSE_LEASE overrides it."""
PAUSE = 1.0
INTERVAL = 60.0
"""Seconds after which this host's endpoints are compared with the store again."""


def lease_seconds() -> int:
    """HAWSE_LEASE in seconds, by default `LEASE`."""
    text = os.environ.get("HAWSE_LEASE", "")
    return max(2, int(text)) if text.isascii() and text.isdigit() else LEASE


class LeaseKeeper:
    """Renews the lease of the host of ``me``; ``beaten`` is called with a client after each renewal.

    ``settle`` is called when the lease was (re)gained, when asked for, and now and then.
    """

    def __init__(
        self,
        open_client: Callable[[], Client],
        me: ClusterMembership,
        *,
        settle: Callable[[Client], None],
        beaten: Callable[[Client], None],
    ) -> None:
        self._open_client, self._me, self._settle, self._after_renewal = open_client, me, settle, beaten
        self._wake = threading.Event()
        self._ended = False
        self._lease = ""
        self._settled, self._settled_at = False, 0.0

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def poke(self) -> None:
        """Settle soon."""
        self._settled = False
        self._wake.set()

    def wake(self) -> None:
        """Beat now."""
        self._wake.set()

    def stop(self) -> None:
        """End soon; does not wait. The lease is left to run out, for a successor may take it up in time."""
        self._ended = True
        self._wake.set()

    def _run(self) -> None:
        client = None
        seconds = lease_seconds()
        while not self._ended:
            pause = seconds / 3
            try:
                client = client or self._open_client()
                self._beat(client, seconds)
            except EngineError:
                self._settled = False
                client, pause = None, PAUSE
            except Exception:
                traceback.print_exc(file=sys.stderr)
                client, pause = None, PAUSE
            self._wake.wait(pause)
            self._wake.clear()

    def _beat(self, client: Client, seconds: int) -> None:
        lease = str(node_operations.perform(client, self._me, "beat", seconds=seconds, lease=self._lease)["lease"])
        if lease != self._lease:
            self._settled, self._lease = False, lease
        if not self._settled or time.monotonic() - self._settled_at > INTERVAL:
            self._settled, self._settled_at = True, time.monotonic()
            self._settle(client)
        self._after_renewal(client)
