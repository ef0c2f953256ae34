"""List formats of nothing but fields, such as those of all default tables: filled in without the interpreter.

It knows which texts say the same to both. It refuses to judge: whatever else a format holds, a field that a row
does not have among it, is the interpreter's, and so is every error.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Cell = str | bool | int

FIELD = re.compile(r"\{\{ *\.([A-Za-z]\w*) *\}\}", re.ASCII)


def fields_of(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Split a format into a pattern for ``str.format`` and the names of its fields; None where it holds more."""
    pieces = FIELD.split(text)
    texts, names = pieces[::2], pieces[1::2]
    if any("{{" in piece for piece in texts):
        return None
    return "{}".join(piece.replace("{", "{{").replace("}", "}}") for piece in texts), tuple(names)


def fill(pattern: str, names: tuple[str, ...], cell: Callable[[str], Cell]) -> str:
    """Write one row; the row must have all the fields."""
    return pattern.format(*map(_written, map(cell, names)))


def _written(cell: Cell) -> str:
    """Write a cell as Go prints it."""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
