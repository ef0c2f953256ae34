"""Find the name that a user probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the name in ``names`` that a user probably meant by ``word``, or "" if no name fits.

    - The name that is most similar to the word fits, if at most two letters differ (one letter if the word has at most
      three letters).
    - Without such a name, a name that begins with the word fits, unless the word has only one letter.

    Hyphens at the beginning do not count for the length of the word.
    """
    limit = 1 if len(word.lstrip("-")) <= 3 else 2
    ranked = sorted((distance(word, name), name) for name in names)
    likely = [name for steps, name in ranked if steps <= limit]
    return (likely or [name for _, name in ranked if len(word.lstrip("-")) > 1 and name.startswith(word)] or [""])[0]


def distance(first: str, second: str) -> int:
    """Return the number of letters to add, remove, replace or swap to change ``first`` into ``second``."""
    rows = [list(range(len(second) + 1))]
    for i, first_letter in enumerate(first, 1):
        row = [i]
        for j, second_letter in enumerate(second, 1):
            steps = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (first_letter != second_letter))
            if i > 1 and j > 1 and (first_letter, first[i - 2]) == (second[j - 2], second_letter):
                steps = min(steps, rows[-2][j - 2] + 1)
            row.append(steps)
        rows.append(row)
    return rows[-1][-1]
