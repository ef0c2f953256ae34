"""Keeps the tables of this host's overlay networks as the view says, in a thread of its own.

Small changes go one by one, large ones and the first of each network by a comparison of the whole; every so often all
networks are compared again, because others may have changed the tables behind our back.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from drivers.api import Driver, NetworkSpec, Peer, PeerProgrammer
from engine.cluster import peers
from engine.cluster.snapshot import View

FEW = 16
INTERVAL = 60.0
"""Seconds after which all tables are compared with the view anew."""
RETRY = 2.0


class PeerSync:
    """Programs ``driver`` for the networks it is told of; ``run`` has the lock that keeps commands from it."""

    def __init__(self, driver: Driver, node: str, run: Path) -> None:
        self._driver, self._node, self._run_directory = driver, node, run
        self._condition = threading.Condition()
        self._view: View | None = None
        self._networks: Mapping[str, NetworkSpec] = {}
        self._dirty = self._ended = False
        self._skipped: set[str] = set()
        self._done: dict[str, tuple[NetworkSpec, dict[str, Peer]]] = {}

    def start(self) -> None:
        """Begin to work."""
        threading.Thread(target=self._run, name="programmer", daemon=True).start()

    def tell(self, *, view: View | None = None, networks: Mapping[str, NetworkSpec] | None = None) -> None:
        """Take what is new: what the cluster looks like, which networks are up on this host."""
        with self._condition:
            if view is not None and self._view is not None and self._dirty:
                # A command may have written what the view in between says, which no comparison of views would show.
                self._skipped |= view.differing(self._view)
            self._view = view or self._view
            self._networks = self._networks if networks is None else networks
            self._dirty = True
            self._condition.notify()

    def stop(self) -> None:
        """End soon; does not wait."""
        with self._condition:
            self._ended = True
            self._condition.notify()

    def _run(self) -> None:
        compared = time.monotonic()
        pause = INTERVAL
        while True:
            with self._condition:
                if not self._dirty:
                    self._condition.wait(min(pause, max(0.0, compared + INTERVAL - time.monotonic())))
                if self._ended:
                    return
                self._dirty = False
                view, networks = self._view, self._networks
                skipped, self._skipped = self._skipped, set()
            if time.monotonic() - compared >= INTERVAL:
                compared, self._done = time.monotonic(), {}
            self._done = {i: done for i, done in self._done.items() if i in networks and i not in skipped}
            pause = INTERVAL if view is None or self._program_all(view, networks) else RETRY

    def _program_all(self, view: View, networks: Mapping[str, NetworkSpec]) -> bool:
        good = True
        for identity, spec in networks.items():
            try:
                wanted = {p.endpoint_id: p for p in peers.of(view, identity, self._node)}
                with peers.programming(self._run_directory):
                    self._program(identity, spec, wanted)
            except Exception:
                self._done.pop(identity, None)
                traceback.print_exc(file=sys.stderr)
                good = False
        return good

    def _program(self, identity: str, spec: NetworkSpec, wanted: dict[str, Peer]) -> None:
        assert isinstance(self._driver, PeerProgrammer)
        known, present = self._done.get(identity, (None, {}))
        gone: Sequence[Peer] = [p for i, p in present.items() if wanted.get(i) != p]
        new = [p for i, p in wanted.items() if present.get(i) != p]
        if known != spec or len(gone) + len(new) > FEW:
            self._driver.program_peers(spec, list(wanted.values()))
        else:
            for peer in gone:
                self._driver.remove_peer(spec, peer)
            for peer in new:
                self._driver.add_peer(spec, peer)
        self._done[identity] = (spec, wanted)
