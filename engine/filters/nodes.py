"""Choose the nodes that the command ``node ls`` lists."""

from __future__ import annotations

from collections.abc import Iterable

from engine.api import Documents, Json
from engine.errors import EngineError
from engine.filters.rules import check_keys
from engine.model import Filters

KEYS = frozenset({"id", "label", "membership", "name", "node.label", "role"})
VALUES = {"membership": ("accepted", "pending"), "role": ("manager", "worker")}


def filter_nodes(documents: Iterable[Json], filters: Filters) -> Documents:
    """Return the documents of the nodes that match the filters.

    Raises `InvalidArgument` for unknown filter keys, and `EngineError` for unknown values of ``role`` and
    ``membership``.
    """
    check_keys(filters, KEYS)
    for key, known in VALUES.items():
        for value in filters.get(key, ()):
            if value not in known:
                raise EngineError(f"Invalid {key} filter: '{value}'")
    return [d for d in documents if all(any(_has(d, key, v) for v in values) for key, values in filters.items())]


def _has(document: Json, key: str, value: str) -> bool:
    beginnings = {"id": document["ID"], "name": document["Description"]["Hostname"]}
    if key in beginnings:
        return str(beginnings[key]).startswith(value)
    # The filters ``label`` and ``node.label`` match no node, because nodes in hawse have no labels.
    return value == {"role": document["Spec"]["Role"], "membership": "accepted"}.get(key)
