"""Convert records to the JSON documents of Docker's Engine API (v1.45).

The functions change nothing. The fields of a document are in Docker's order. Maps with keys of the user, such as
labels, are sorted by key, because Go prints maps in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
"""A document, or a part of it."""


def copied_list(values: Sequence[str] | None) -> list[str] | None:
    """Return the values as a new list for JSON; None is returned unchanged."""
    return None if values is None else list(values)
