"""Choose the networks that ``network ls`` lists, and the networks, containers and images that ``prune`` may remove.

`engine.filters.containers` chooses the containers that ``ps`` lists.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TypeVar

from engine.errors import EngineError, InvalidArgument
from engine.filters.containers import filter_containers
from engine.filters.rules import boolean, check_keys, matches_exactly, matches_labels, matches_pattern, truth
from engine.golang.time import parse_moment
from engine.golang.timestamps import to_seconds
from engine.model import ContainerRecord, Filters, ImageRecord, NetworkRecord, NetworkSummary

__all__ = [
    "check_container_prune",
    "check_network_prune",
    "container_prunable",
    "filter_containers",
    "filter_networks",
    "filter_summaries",
    "network_prunable",
]

NETWORK_KEYS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
PRUNE_KEYS = frozenset({"label", "label!", "until"})
Listed = TypeVar("Listed", NetworkRecord, NetworkSummary)


def filter_networks(networks: Iterable[NetworkRecord], filters: Filters) -> list[NetworkRecord]:
    """Return the networks that match the filters.

    Raises `InvalidArgument` for unknown filter keys, and EngineError for unknown values of ``type``.
    """
    labels = filters.get("label", ())
    return [n for n in filter_summaries(networks, filters) if matches_labels(labels, n.labels or {})]


def filter_summaries(networks: Iterable[Listed], filters: Filters) -> list[Listed]:
    """Return the networks that match all filters except the label filters.

    Label filters are ignored by this function, because summaries of networks contain no labels. Raises the same errors
    as `filter_networks`.
    """
    if not filters:
        return list(networks)
    check_keys(filters, NETWORK_KEYS)
    for value in filters.get("type", ()):
        if value not in ("builtin", "custom"):
            raise EngineError(f"invalid filter: 'type'='{value}'")
    if not filters.get("type", (None,)):
        return []  # as in Docker, no network matches a filter ``type`` without values
    dangling = boolean(filters, "dangling")
    return [n for n in networks if _matches(n, filters) and dangling in (None, not n.predefined)]


def check_network_prune(filters: Filters) -> None:
    """Check the filters of ``network prune``.

    Raises InvalidArgument for an unknown filter key, for several ``until`` values, or for an invalid ``until`` value.
    """
    check_keys(filters, PRUNE_KEYS)
    _until(filters)


def network_prunable(network: NetworkRecord, filters: Filters) -> bool:
    """Return whether the filters of ``network prune`` allow the removal of an unused network."""
    return _prunable(network.labels or {}, network.created, filters)


def check_container_prune(filters: Filters) -> None:
    """Check the filters of ``container prune``.

    Raises InvalidArgument for an unknown filter key, for several ``until`` values, or for an invalid ``until`` value.
    """
    check_network_prune(filters)


def container_prunable(record: ContainerRecord, filters: Filters) -> bool:
    """Return whether the filters of ``container prune`` allow the removal of a stopped container."""
    return _prunable(record.config.labels, record.created, filters)


def check_image_prune(filters: Filters) -> None:
    """Check the filters of ``image prune``; raises InvalidArgument, and EngineError for a wrong ``until``."""
    check_keys(filters, PRUNE_KEYS | {"dangling"})
    truth(filters, "dangling")
    try:
        _until(filters)
    except InvalidArgument as error:
        raise EngineError(str(error)) from None  # HTTP status 500, as in Docker


def image_prunable(image: ImageRecord, filters: Filters) -> bool:
    """Return whether the filters of ``image prune``, which have been checked, allow the removal of an unused image.

    An image with a tag is removed only with the filter ``dangling=false``.
    """
    tagged_too = truth(filters, "dangling") is False
    return (tagged_too or not image.references) and _prunable(image.labels, image.created, filters)


def _matches(network: Listed, filters: Filters) -> bool:
    return (
        matches_exactly(filters, "driver", network.driver)
        and matches_pattern(filters, "name", network.name)
        and matches_pattern(filters, "id", network.id)
        and matches_exactly(filters, "scope", network.scope)
        and matches_exactly(filters, "type", "builtin" if network.predefined else "custom")
    )


def _prunable(labels: Mapping[str, str], created: str, filters: Filters) -> bool:
    until = _until(filters)
    if until is not None and to_seconds(created) > until:
        return False
    unwanted = filters.get("label!", ())
    return matches_labels(filters.get("label", ()), labels) and not (unwanted and matches_labels(unwanted, labels))


def _until(filters: Filters) -> float | None:
    """Return the time of the filter ``until``, or None without this filter; raises InvalidArgument.

    A filter without a value is refused, because a client that sends it does not mean to remove everything. Docker
    closes the connection.
    """
    if "until" not in filters:
        return None
    values = filters["until"]
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    if not values:
        raise InvalidArgument("invalid filter 'until'")
    return parse_moment(values[0], time.time())
