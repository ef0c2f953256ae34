"""Limits that clients share fairly: what one of them may hold depends on what is still free.

A client that holds as many places as are free gets no more of them, so a single greedy one ends with half of all
places, two with a third each, and there is always a place for the next. No limit per client has to be chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Claim(NamedTuple):
    """A client, or a group of clients, that may hold at most ``share`` times as many places as are free."""

    holder: Hashable
    share: int = 1


class Quota:
    """So many places, and who holds them."""

    __slots__ = ("_held", "free")

    def __init__(self, total: int) -> None:
        self.free = total
        self._held: Counter[Hashable] = Counter()

    def over(self, claims: Sequence[Claim]) -> list[Hashable]:
        """Return the holders that may take no more."""
        return [holder for holder, share in claims if self._held[holder] >= share * self.free]

    def take(self, claims: Sequence[Claim]) -> bool:
        """Take one place on behalf of all of these holders; False, and nothing taken, where one may take no more."""
        if self.over(claims):
            return False
        self.free -= 1
        for holder, _ in claims:
            self._held[holder] += 1
        return True

    def give(self, claims: Sequence[Claim]) -> None:
        """Give back a place that was taken with the same claims."""
        self.free += 1
        for holder, _ in claims:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
