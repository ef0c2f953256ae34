"""Render simple list formats, such as those of the default tables, without the template interpreter.

A simple format contains only fields and literal text, and the result is the same as with the interpreter. The
interpreter renders all other formats: formats with other elements, with an unknown field, or with an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Cell = str | bool | int

FIELD = re.compile(r"(?<!\{)\{\{ *\.([A-Za-z]\w*) *\}\}", re.ASCII)


def fields_of(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Split a list format into a pattern for ``str.format`` and the names of its fields.

    Return None if the format contains anything except fields and literal text. Example: "{{.ID}}: {{.Name}}" gives
    ("{}: {}", ("ID", "Name")).
    """
    pieces = FIELD.split(text)
    texts, names = pieces[::2], pieces[1::2]
    if any("{{" in piece for piece in texts):
        return None
    return "{}".join(piece.replace("{", "{{").replace("}", "}}") for piece in texts), tuple(names)


def fill(pattern: str, names: tuple[str, ...], cell: Callable[[str], Cell]) -> str:
    """Return the text of one row: ``pattern`` with each ``{}`` replaced by the value of a field.

    ``names`` are the names of the fields, in the order of the ``{}``. `fields_of` returns ``pattern`` and ``names``.
    The function ``cell`` returns the row's value of a field. The row must have all fields in ``names``.
    """
    return pattern.format(*map(_written, map(cell, names)))


def _written(cell: Cell) -> str:
    """Return the text that Go prints for the value of a cell."""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
