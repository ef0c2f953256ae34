"""Convert records to the JSON documents of Docker's Engine API (v1.45), with keys in Docker's order.

Pure functions that return plain dicts. Go prints maps sorted by key, so every map is sorted as text.
"""

from __future__ import annotations

from collections.abc import Sequence


def copied_list(values: Sequence[str] | None) -> list[str] | None:
    """Return a copy of the values as a JSON list, or None for None."""
    return None if values is None else list(values)
