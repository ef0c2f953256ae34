"""Quotas that clients share fairly: the limit of each client depends on how many places are free.

A place is one connection, flow or query. A client gets no more places if the client already holds as many places as are
free. Therefore a single greedy client gets at most half of all places, and two greedy clients get a third each. A free
place always remains for the next client. The quota needs no fixed limit for each client.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Claim(NamedTuple):
    """A holder of places of a `Quota`: a client, or a group of clients with a common limit.

    ``holder`` identifies the client or the group. It may hold at most ``share`` times the number of free places.
    """

    holder: Hashable
    share: int = 1


class Quota:
    """A limited number of places (connections, flows or queries), and the number of places that each client holds.

    ``total`` is the number of all places, and ``free`` the number of free places. Any thread may take and release.
    """

    __slots__ = ("_held", "_lock", "free")

    def __init__(self, total: int) -> None:
        self.free = total
        self._lock = threading.Lock()
        self._held: Counter[Hashable] = Counter()

    def over(self, claims: Sequence[Claim]) -> list[Hashable]:
        """Return those holders in ``claims`` (clients or groups of clients) that may get no more places at present."""
        return [holder for holder, share in claims if self._held[holder] >= share * self.free]

    def take(self, claims: Sequence[Claim]) -> bool:
        """Take one place (for a connection, flow or query), which counts for each client and group in ``claims``.

        Returns True if the place was taken. If one of these clients and groups has reached its limit, takes no place
        and returns False.
        """
        with self._lock:
            if self.over(claims):
                return False
            self.free -= 1
            for holder, _ in claims:
                self._held[holder] += 1
            return True

    def give(self, claims: Sequence[Claim]) -> None:
        """Release a place that `take` took with the same ``claims``."""
        with self._lock:
            self.free += 1
            for holder, _ in claims:
                self._held[holder] -= 1
                if not self._held[holder]:
                    del self._held[holder]
