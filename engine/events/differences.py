"""Texts about differences between the kernel and the records, for the agent's log and for ``hawse doctor``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from drivers.api import Difference

FEW = 3  # maximum number of differences of one kind that a text names


def described(differences: Sequence[Difference]) -> str:
    """Return a short text that lists differences, grouped by kind and place."""
    return ", ".join(f"{group} ({brief(whats)})" for group, whats in grouped(differences).items())


def grouped(differences: Iterable[Difference]) -> dict[str, list[str]]:
    """Group differences by kind and place, such as "missing address"; return the sorted values of each group."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for difference in differences:
        groups[f"{difference.kind} {difference.place}"].append(difference.what)
    return {group: sorted(whats) for group, whats in groups.items()}


def brief(whats: Sequence[str]) -> str:
    """Return the first items, and the number of the others."""
    more = len(whats) - FEW
    return ", ".join(whats[:FEW]) + (f" and {more} more" if more > 0 else "")
