"""A thread that keeps the FDB and neighbour tables of this host's overlay networks equal to the etcd store's records.

A peer is an endpoint on another host. To program a peer is to write its entries into these tables. After a small change
of the records, the thread programs only the changed peers. It programs all peers of a network in these cases:

- many peers have changed
- the network is new on this host, or its settings have changed
- every `CHECK_INTERVAL_SECONDS` seconds, if the agent may repair the network, because other programs may have changed
  the tables
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from drivers.api import Driver, PeerProgrammer
from drivers.model import Difference, NetworkSpec, Peer
from drivers.options import heals
from engine.cluster import peers
from engine.cluster.snapshot import View

FEW = 16  # maximum changes that are programmed one by one; more changes cause a comparison of the whole table
CHECK_INTERVAL_SECONDS = 60.0
"""Seconds between two comparisons of the FDB and neighbour tables with the snapshot of the cluster's records."""
RETRY_SECONDS = 2.0


class PeerSync:
    """A thread that programs the endpoints of other hosts (peers) into this host's FDB and neighbour tables.

    `update` passes snapshots and networks to the thread. ``driver`` is the overlay driver, and ``node`` this host's
    node id. The directory ``run`` (HAWSE_RUN) has the lock file of the peer tables.
    """

    def __init__(self, driver: Driver, node: str, run: Path, heal: Callable[[], bool]) -> None:
        assert isinstance(driver, PeerProgrammer)
        self._driver: PeerProgrammer = driver
        self._node, self._run_directory, self._heal = node, run, heal
        self._condition = threading.Condition()
        self._view: View | None = None
        self._networks: Mapping[str, NetworkSpec] = {}
        self._dirty = self._ended = False
        self._skipped: set[str] = set()
        self._done: dict[str, tuple[NetworkSpec, dict[str, Peer]]] = {}

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="peer-sync", daemon=True).start()

    def update(self, *, view: View | None = None, networks: Mapping[str, NetworkSpec] | None = None) -> None:
        """Pass a new snapshot of the cluster's records, or the networks that are active on this host, to the thread.

        A value of None means no change. ``networks`` maps a network's id to the network.
        """
        with self._condition:
            if view is not None and self._view is not None and self._dirty:
                # The thread has perhaps not processed the snapshot that this call replaces. But a command may already
                # have written peers of that snapshot into the kernel. The thread would not notice these peers, because
                # it compares only the last snapshot that it programmed with the newest. Therefore record the networks
                # in which the replaced snapshot differs from the new one. The thread programs all their peers again.
                self._skipped |= view.differing(self._view)
            self._view = view or self._view
            self._networks = self._networks if networks is None else networks
            self._dirty = True
            self._condition.notify()

    def verify(self, identity: str) -> Sequence[Difference]:
        """Repair this host's devices and tables of the network with the id ``identity``; return the differences.

        Other threads call this method after the kernel reported a change. A WireGuard tunnel is missing until the other
        host's public key is known. A missing tunnel is not returned, because no program has removed it.
        """
        with self._condition:
            view, spec = self._view, self._networks.get(identity)
        if view is None or spec is None:
            return ()
        with peers.programming(self._run_directory):
            return self._driver.verify(spec, peers.of(view, identity, self._node), fix=True, tunnels=False)

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        with self._condition:
            self._ended = True
            self._condition.notify()

    def _run(self) -> None:
        compared = time.monotonic()
        pause = CHECK_INTERVAL_SECONDS
        while True:
            with self._condition:
                if not self._dirty:
                    self._condition.wait(min(pause, max(0.0, compared + CHECK_INTERVAL_SECONDS - time.monotonic())))
                if self._ended:
                    return
                self._dirty = False
                view, networks = self._view, self._networks
                skipped, self._skipped = self._skipped, set()
            if time.monotonic() - compared >= CHECK_INTERVAL_SECONDS:
                compared = time.monotonic()
                skipped |= self._repaired(networks)
            self._done = {i: done for i, done in self._done.items() if i in networks and i not in skipped}
            pause = CHECK_INTERVAL_SECONDS if view is None or self._program_all(view, networks) else RETRY_SECONDS

    def _repaired(self, networks: Mapping[str, NetworkSpec]) -> set[str]:
        """Return the ids of those ``networks`` that the agent may repair after changes by other programs."""
        return {identity for identity, spec in networks.items() if heals(spec.options)} if self._heal() else set()

    def _program_all(self, view: View, networks: Mapping[str, NetworkSpec]) -> bool:
        good = True
        for identity, spec in networks.items():
            try:
                expected = {p.endpoint_id: p for p in peers.of(view, identity, self._node)}
                with peers.programming(self._run_directory):
                    self._program(identity, spec, expected)
            except Exception:
                self._done.pop(identity, None)
                traceback.print_exc(file=sys.stderr)
                good = False
        return good

    def _program(self, identity: str, spec: NetworkSpec, expected: dict[str, Peer]) -> None:
        known, present = self._done.get(identity, (None, {}))
        gone: Sequence[Peer] = [p for i, p in present.items() if expected.get(i) != p]
        new = [p for i, p in expected.items() if present.get(i) != p]
        if known != spec or len(gone) + len(new) > FEW:
            self._driver.program_peers(spec, list(expected.values()))
        else:
            for peer in gone:
                self._driver.remove_peer(spec, peer)
            for peer in new:
                self._driver.add_peer(spec, peer)
        self._done[identity] = (spec, expected)
