"""Rounds in which contenders (the measured products) take turns, so that other load on the machine affects all
contenders equally.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def turns(contenders: Sequence[T], rounds: int) -> Iterator[tuple[int, list[T]]]:
    """Yield the number of each round, and the order of the contenders in that round.

    The order alternates (A B C, then C B A), so that no contender always runs after the same other contender.
    """
    for number in range(rounds):
        yield number, list(contenders if number % 2 == 0 else reversed(contenders))
