"""What a source of completions is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Words = Mapping[str, str]
"""A word to its description, "" where it needs none."""


@dataclass(frozen=True, slots=True)
class Source:
    """All that may be written in one place; the fields add up.

    ``names`` are kinds that ``hawse __complete`` knows. ``keys`` begin a value and end with ``=`` or ``:``; each names
    the source of what follows. With ``commas`` the value is a list, whose last part is completed. ``by_flag`` leaves
    the choice to another flag's value: its long and its short name, and the source for each value ("" for none).
    """

    words: Words = field(default_factory=dict)
    names: tuple[str, ...] = ()
    shell: Literal["", "files", "directories", "command"] = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    commas: bool = False
    by_flag: tuple[str, str, Mapping[str, str]] | None = None


def plain(*words: str) -> Source:
    """Make a source of words that explain themselves."""
    return Source(dict.fromkeys(words, ""))
