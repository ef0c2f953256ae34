"""Find the name that a user probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the name that is most similar to ``word``, or "" if no name is similar.

    A name is similar if it begins with the word, or if at most two letters differ (in short words, one letter).
    """
    limit = 1 if len(word.lstrip("-")) <= 3 else 2
    ranked = sorted((distance(word, name), name) for name in names)
    likely = [name for steps, name in ranked if steps <= limit]
    return (likely or [name for _, name in ranked if len(word.lstrip("-")) > 1 and name.startswith(word)] or [""])[0]


def distance(one: str, other: str) -> int:
    """Return the number of letters to add, remove, replace or swap with a neighbour to change ``one`` into
    ``other``.
    """
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, other_letter in enumerate(other, 1):
            steps = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other_letter))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], other_letter):
                steps = min(steps, rows[-2][j - 2] + 1)
            row.append(steps)
        rows.append(row)
    return rows[-1][-1]
