"""Choose the networks that ``network ls`` lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from engine.errors import EngineError
from engine.filters.rules import boolean, check_keys, matches_exactly, matches_labels, matches_pattern
from engine.model import Filters, NetworkRecord, NetworkSummary

NETWORK_KEYS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
Listed = TypeVar("Listed", NetworkRecord, NetworkSummary)


def filter_networks(networks: Iterable[NetworkRecord], filters: Filters) -> list[NetworkRecord]:
    """Return the networks that match the filters.

    Raises `InvalidArgument` for unknown filter keys and wrong values of ``dangling``. Raises EngineError for unknown
    values of ``type``.
    """
    labels = filters.get("label", ())
    return [n for n in filter_summaries(networks, filters) if matches_labels(labels, n.labels or {})]


def filter_summaries(networks: Iterable[Listed], filters: Filters) -> list[Listed]:
    """Return the networks that match all filters except the label filters.

    Label filters are ignored, because a `NetworkSummary` has no labels. Raises the same errors as `filter_networks`.
    """
    if not filters:
        return list(networks)
    check_keys(filters, NETWORK_KEYS)
    dangling = boolean(filters, "dangling")
    for value in filters.get("type", ()):
        if value not in ("builtin", "custom"):
            raise EngineError(f"invalid filter: 'type'='{value}'")
    if not filters.get("type", (None,)):
        return []  # as in Docker, no network matches a filter ``type`` without values
    return [n for n in networks if _matches(n, filters) and dangling in (None, not n.predefined)]


def _matches(network: Listed, filters: Filters) -> bool:
    return (
        matches_exactly(filters, "driver", network.driver)
        and matches_pattern(filters, "name", network.name)
        and matches_pattern(filters, "id", network.id)
        and matches_exactly(filters, "scope", network.scope)
        and matches_exactly(filters, "type", "builtin" if network.predefined else "custom")
    )
